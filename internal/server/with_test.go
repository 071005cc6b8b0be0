package server_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/server"
)

func TestWith(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dsn, database string
		params        []string
		want          string
	}{
		{"host=h dbname=a", "", nil, "host=h dbname=a"},
		{"host=h dbname=a", "b", nil, "host=h dbname=a dbname=b"},
		{"", "b c", []string{"application_name=it's", `options=-c a=b\c`},
			`dbname='b c' application_name='it\'s' options='-c a=b\\c'`},
		{"host=h", "", []string{"password="}, "host=h password=''"},
		{"postgres://u:p@h:1/a?sslmode=disable", "", nil, "postgres://u:p@h:1/a?sslmode=disable"},
		{"postgres://u:p@h:1/a?sslmode=disable", "b", nil, "postgres://u:p@h:1/b?sslmode=disable"},
		{"postgresql:///?host=/run&dbname=a", "b", []string{"application_name=x y"},
			"postgresql:///b?application_name=x+y&host=%2Frun"},
		{"postgres://%zz", "b", nil, "postgres://%zz"},
	} {
		require.Equal(t, c.want, server.With(c.dsn, c.database, c.params...), c.dsn)
	}
}
