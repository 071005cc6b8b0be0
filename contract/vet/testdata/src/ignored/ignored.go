// Package ignored has findings that comments suppress, and some that they do not.
package ignored

func use(...any) error { return nil }

const one = "SELECT * FROM a" //tandem:ignore a report, read by name
const two = "SELECT * FROM b" // want `reads all columns of b`

//tandem:ignore a report, read by name
const three = "SELECT * FROM c"

// A comment of more lines.
//
//tandem:ignore	a report, read by name
const four = "SELECT * FROM d"

//tandem:ignore a report

const five = "SELECT * FROM e" // want `reads all columns of e`

const six = "SELECT * FROM f" //tandem:ignored is no directive // want `reads all columns of f`

const seven = "SELECT * FROM g" /* want `reads all columns of g` `ignore-without-reason: //tandem:ignore without a reason suppresses nothing; .* write why the statement does no harm` */ //tandem:ignore

func calls() {
	//tandem:ignore a report
	_ = use(1, `
		SELECT *
		FROM a`, 2)
	_ = use(1, `
		SELECT *
		FROM a`, 2) //tandem:ignore a report
	//tandem:ignore a report
	_ = use(1,
		"SELECT * FROM a",
		"SELECT * FROM b",
	)
	_ = use(1,
		"SELECT * FROM a", //tandem:ignore a report
		"SELECT * FROM b") // want `reads all columns of b`
	_ = use(1,
		"SELECT id, "+
			"* FROM a"+ //tandem:ignore a report
			" WHERE id = $1", 2,
		3)
	_ = use(`
		SELECT *
		FROM a`, //tandem:ignore a report
		2)
	if err := use("SELECT * FROM a"); err != nil { //tandem:ignore a report
		_ = use("SELECT * FROM b") // want `reads all columns of b`
	}
	//tandem:ignore a report
	if err := use("SELECT * FROM a"); err != nil {
		_ = use("SELECT * FROM b") // want `reads all columns of b`
	}
}
