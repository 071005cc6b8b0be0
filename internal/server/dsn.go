package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"
)

// answerTime is how long a server named by TANDEM_DSN may take to answer: CI
// services are often still starting when the tests are.
const answerTime = 10 * time.Second

// startDSN takes the server that TANDEM_DSN names.
func startDSN(ctx context.Context, _ Options) (*Server, error) {
	dsn := os.Getenv("TANDEM_DSN")
	if dsn == "" {
		return nil, errors.New("TANDEM_DSN is not set: set it to the DSN of a server on which databases may be created")
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := ready(ctx, dsn, nil); err != nil {
		return nil, fmt.Errorf("TANDEM_DSN: %w", err)
	}
	return &Server{description: "TANDEM_DSN", dsn: dsn}, nil
}

// With returns dsn, a URL or a list of key=value, for another database and
// with the params added ("application_name=loader"). An empty database keeps
// the one in dsn. A URL that cannot be parsed is returned as it is, for the
// driver to complain about.
func With(dsn, database string, params ...string) string {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		return withURL(dsn, database, params)
	}
	// Of a key given twice the last counts, in lib/pq as in libpq.
	if database != "" {
		params = append([]string{"dbname=" + database}, params...)
	}
	for _, p := range params {
		key, value, _ := strings.Cut(p, "=")
		dsn += " " + key + "=" + quote(value)
	}
	return strings.TrimSpace(dsn)
}

// withURL is With for a URL.
func withURL(dsn, database string, params []string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn
	}
	query := u.Query()
	if database != "" {
		u.Path = "/" + database
		query.Del("dbname")
	}
	for _, p := range params {
		key, value, _ := strings.Cut(p, "=")
		query.Set(key, value)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// quote makes a DSN value of any string.
func quote(value string) string {
	if value != "" && !strings.ContainsAny(value, ` '\`) {
		return value
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}
