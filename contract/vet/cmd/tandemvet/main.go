// Command tandemvet finds SQL in Go code that breaks when a column is added, renamed or dropped. See package vet for what it finds and how to run it in CI.
//
//	tandemvet [-tandem.tables=users,public.orders] [-tandem.columns=users.user_name] ./...
//	go vet -vettool=$(which tandemvet) [the same flags] ./...
//
// It exits with 0 if there is nothing to report, with 3 if there is (go vet: 1), and with 1 or 2 on an error.
package main

import (
	"golang.org/x/tools/go/analysis/multichecker"

	"github.com/tandem-go/tandem/contract/vet"
)

func main() { multichecker.Main(vet.Analyzer) }
