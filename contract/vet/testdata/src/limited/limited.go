// Package limited is looked at for the tables users and public.orders.
package limited

func use(string, string) {}

func calls(table string) {
	use("SELECT * FROM users", "SELECT * FROM items")                         // want `reads all columns of users`
	use("SELECT * FROM app.users", "SELECT * FROM app.orders")                // want `reads all columns of app.users`
	use("SELECT * FROM orders", `SELECT * FROM "Users"`)                      // want `reads all columns of orders`
	use("SELECT * FROM items, public.orders", "INSERT INTO items VALUES (1)") // want `reads all columns of items, public.orders`
	use("SELECT * FROM "+table, "DELETE FROM items RETURNING *")              // want `reads all columns of a table that is known only at run time`
}
