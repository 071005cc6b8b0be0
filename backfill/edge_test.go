package backfill_test

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"
)

// instant is a type of the application's that knows the infinite timestamps.
type instant struct {
	at       time.Time
	infinite string
}

func (i *instant) Scan(src any) error {
	switch v := src.(type) {
	case time.Time:
		*i = instant{at: v}
	case []byte:
		*i = instant{infinite: string(v)}
	default:
		return fmt.Errorf("instant: cannot scan %T", src)
	}
	return nil
}

func (i instant) Value() (driver.Value, error) {
	if i.infinite != "" {
		return i.infinite, nil
	}
	return string(pq.FormatTimestamp(i.at)), nil
}

// The ends of the types that PostgreSQL has.
func TestGoValuesAtTheEnds(t *testing.T) {
	t.Parallel()
	copied[time.Time](t, "timestamptz", `(timestamptz '0044-03-15 12:00:00.000001+00 BC'), ('12024-02-29 00:00+00'), ('294276-12-31 23:59:59.999999+00'), ('2024-10-27 00:30+00'), ('2024-10-27 01:30+00')`)
	copied[time.Time](t, "timestamp", `(timestamp '0044-03-15 12:00 BC'), ('12024-02-29 00:00'), ('2024-03-31 02:30'), ('0001-12-31 23:59:59 BC')`)
	copied[time.Time](t, "date", `(date '0044-03-15 BC'), ('12024-02-29'), ('4713-01-01 BC'), ('0001-12-31 BC')`)
	t.Run("infinite", func(t *testing.T) {
		t.Parallel()
		copied[instant](t, "timestamptz", `(timestamptz 'infinity'), ('-infinity'), ('2024-02-29 00:00+00'), ('0044-03-15 BC')`)
		copied[instant](t, "date", `(date 'infinity'), ('-infinity'), ('2024-02-29')`)
	})
	copied[string](t, "numeric", `('NaN'::numeric), ('Infinity'), ('-Infinity'), (repeat('9', 131072)::numeric), (('0.' || repeat('0', 16382) || '1')::numeric), (1.10), ('-0')`)
	copied[*string](t, "text", `(''), (NULL), (' ')`)
}

// A NUL byte that Go makes is refused by the server, for that row.
func TestNULByteFromGo(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(20), goOnly(func(s string) (string, error) { return strings.ReplaceAll(s, "name 7", "na\x00me"), nil }))
	require.EqualValues(t, 1, b.run().BadRows)
	require.Equal(t, []string{"7"}, b.texts(badKeys))
	require.Equal(t, 1, b.number(unstamped))
}
