package query

import (
	"fmt"
	"strings"
)

const nameThem = "name the columns"

// Says is what a finding is called, what is there, why it hurts, and what to do.
type Says struct{ Name, What, Harm, Cure string }

// rules have the text that was found as %[1]s, and its tables as %[2]s.
var rules = map[Rule]Says{
	Star: {"select-star", "%[1]s reads all columns of %[2]s",
		"when one is added, renamed or dropped, prepared statements fail (SQLSTATE 0A000), and scans into structs or by position do not fit", nameThem},
	Returning: {"returning-star", "RETURNING %[1]s returns all columns of %[2]s",
		"when one is added, renamed or dropped, prepared statements fail (SQLSTATE 0A000), and scans into structs or by position do not fit", nameThem},
	Insert: {"insert-without-columns", "INSERT without a list of columns into %[2]s",
		"once a column is dropped, the values behind it go into wrong columns, without an error where types allow it", nameThem},
	CopyIn: {"copy-without-columns", "COPY without a list of columns into %[2]s",
		"once a column is added, it fails (SQLSTATE 22P04), and with another dropped values go into wrong columns, without an error where types allow it", nameThem},
	CopyOut: {"copy-without-columns", "COPY without a list of columns from %[2]s",
		"when a column is added or dropped, who reads the rows by position takes one column for another", nameThem},
	Named: {"old-column", "%[1]s of %[2]s is named",
		"in Contract its values are old and writing it is refused (SQLSTATE TD001), and after the drop the statement fails (SQLSTATE 42703)",
		"use the pair's fragments, or the new column once the migration is there"},
}

// Says puts a finding into words; text is what was found.
func (f Finding) Says(text string) Says {
	var tables []string
	for _, t := range f.Tables {
		tables = append(tables, t.String())
	}
	out := rules[f.Rule]
	out.What = fmt.Sprintf(out.What, text, strings.Join(tables, ", "))
	return out
}
