package tandemriver

import (
	"errors"
	"slices"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// finals are the errors that the same call ends with again until somebody does something: the operator, or a deploy to the whole fleet. Others may be over by themselves, or are those of one process.
var finals = []error{
	backfill.ErrPhase, backfill.ErrDirection, backfill.ErrBadRows, backfill.ErrLeft, backfill.ErrCancelled,
	switchover.ErrUnknown, switchover.ErrNoSchema, switchover.ErrRedeclare,
	expand.ErrNoTable, expand.ErrNoColumn, expand.ErrKey, expand.ErrRefused, expand.ErrMapping,
}

func final(err error) bool {
	return slices.ContainsFunc(finals, func(one error) bool { return errors.Is(err, one) })
}
