package ident

import (
	"fmt"
	"hash/fnv"
	"unicode/utf8"
)

// Derive returns prefix + base + suffix when that fits a name. Otherwise base is cut, and a hash of the whole keeps names of
// different bases apart where PostgreSQL would silently cut them to the same one.
func Derive(prefix, base, suffix string) string {
	whole := prefix + base + suffix
	if len(whole) <= MaxBytes {
		return whole
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(whole))
	hash := fmt.Sprintf("_%08x", h.Sum32())
	room := MaxBytes - len(prefix) - len(hash) - len(suffix)
	for room > 0 && !utf8.RuneStart(base[room]) {
		room--
	}
	return prefix + base[:room] + hash + suffix
}
