package backfill

import (
	"fmt"
	"strconv"
	"strings"
)

// place is where a row lies: its block, and its number on that page.
type place struct{ block, line int64 }

// Scan reads a tid as text: "(4711,12)".
func (p *place) Scan(src any) error {
	text, ok := src.([]byte)
	block, line, cut := strings.Cut(strings.Trim(string(text), "()"), ",")
	if !ok || !cut {
		return fmt.Errorf("%v is no tid", src)
	}
	var err error
	if p.block, err = strconv.ParseInt(block, 10, 64); err != nil {
		return err
	}
	p.line, err = strconv.ParseInt(line, 10, 64)
	return err
}

// stripe is the one that inStripe finds it in.
func (p place) stripe(stripes int) int { return int(p.line&0xFF) & (stripes - 1) }
