// Package columns is looked at for public.users.user_name and items.price.
package columns

import "fmt"

func use(...string) {}

const column = "user_name"

func calls(table string) {
	use("SELECT user_name FROM users")                                   // want `old-column: user_name of users is named; in Contract its values are old and writing it is refused \(SQLSTATE TD001\), and after the drop the statement fails \(SQLSTATE 42703\): use the pair's fragments, or the new column once the migration is there`
	use("UPDATE items SET price = 2*price")                              // want `price of items is named` `price of items is named`
	use("SELECT " + column + " FROM users")                              // want `user_name of users is named`
	use(fmt.Sprintf("SELECT %s FROM users WHERE user_name = $1", table)) // want `user_name of users is named`
	use("SELECT user_name FROM items", "SELECT {user_name} FROM users WHERE id = :user_name", "user_name")
	use("SELECT u.user_name FROM " + table + " u") // want `user_name of a table that is known only at run time is named`
	use("SELECT * FROM users")                     // want `select-star`
}
