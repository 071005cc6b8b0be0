package server

import (
	"maps"
	"slices"
)

// settings of every server that is started. What is not here keeps the
// server's default: synchronous_commit and full_page_writes above all, because
// the cost of a write is what a migration is about.
var settings = map[string]string{
	"fsync":                     "off", // the data is thrown away
	"shared_buffers":            "256MB",
	"max_connections":           "200", // tests of one package run in parallel
	"max_wal_size":              "2GB", // no checkpoint in the middle of a backfill
	"max_prepared_transactions": "20",
	"wal_level":                 "logical",
}

// arguments returns the settings as server arguments, in a fixed order. Later
// maps win.
func arguments(more ...map[string]string) []string {
	all := maps.Clone(settings)
	for _, m := range more {
		maps.Copy(all, m)
	}
	var args []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", k+"="+all[k])
	}
	return args
}
