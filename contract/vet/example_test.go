package vet_test

import (
	"fmt"
	"path/filepath"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"

	"github.com/tandem-go/tandem/contract/vet"
)

// check runs an analyzer over a package, as a driver does, and prints where it finds what.
func check(a *analysis.Analyzer, dir string) error {
	pkgs, err := packages.Load(&packages.Config{Mode: packages.LoadAllSyntax, Dir: dir}, ".")
	if err != nil {
		return err
	}
	graph, err := checker.Analyze([]*analysis.Analyzer{a}, pkgs, nil)
	if err != nil {
		return err
	}
	for _, root := range graph.Roots {
		for _, d := range root.Diagnostics {
			at := root.Package.Fset.Position(d.Pos)
			fmt.Printf("%s:%d:%d: %s\n", filepath.Base(at.Filename), at.Line, at.Column, d.Category)
		}
	}
	return nil
}

// Before Contract of a migration from users.user_name: what is left of the old column, and what does not stand that it goes.
func ExampleNew() {
	a, err := vet.New(vet.Options{Tables: []string{"users"}, Columns: []string{"users.user_name"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := check(a, "testdata/shop"); err != nil {
		fmt.Println(err)
	}
	// Output:
	// shop.go:12:10: old-column
	// shop.go:18:43: insert-without-columns
	// shop.go:19:15: returning-star
}

// Before any migration, over all tables.
func ExampleAnalyzer() {
	if err := check(vet.Analyzer, "testdata/shop"); err != nil {
		fmt.Println(err)
	}
	// Output:
	// shop.go:18:43: insert-without-columns
	// shop.go:19:15: returning-star
	// shop.go:24:38: select-star
}

func ExampleOptions() {
	_, err := vet.New(vet.Options{Columns: []string{"user_name"}})
	fmt.Println(err)
	// Output: options: "user_name" is not a column with its table: write it as in SQL, such as users.user_name or public.users.user_name
}
