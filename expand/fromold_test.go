package expand_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

func hashed(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

// passwords is a pair without a way back.
func passwords(forwardSQL string) *expand.Pair[string, string] {
	return expand.Convert(expand.Spec[string, string]{Table: "accounts", Old: "password", New: "hash", Type: "text", ForwardSQL: forwardSQL,
		Forward: func(s string) (string, error) {
			if s == "" {
				return "", errRange
			}
			return hashed(s), nil
		}})
}

type account struct {
	ID   int64                        `db:"id"`
	Hash expand.Value[string, string] `db:"hash"`
}

// A pair without Backward is written and found by its old values in every phase.
func TestFromOldInEveryPhase(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{"go": "", "sql": "encode(sha256(convert_to({password}, 'UTF8')), 'hex')"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := passwords(sql)
			b := newBed(t, `CREATE TABLE accounts (id bigint PRIMARY KEY, password text NOT NULL UNIQUE)`, pair)
			for i, ph := range allPhases {
				b.set(ph)
				id := int64(i)
				first, second, third := ph.String()+" 1", ph.String()+" 2", ph.String()+" 3"
				write := func(p *expand.Pinned[string, string], query, password string) {
					v, err := p.ValueFromOld(password)
					require.NoError(t, err)
					require.Equal(t, ph.WritesOld(), v.Old != expand.Cell[string]{}) // no password where none is stored
					_, err = sqlx.NamedExecContext(b.ctx, b.db, query, account{id, v})
					require.NoError(t, err)
				}
				find := func(p *expand.Pinned[string, string], password string) []account {
					arg, err := p.ArgFromOld(password)
					require.NoError(t, err)
					rows := []account{}
					require.NoError(t, b.db.SelectContext(b.ctx, &rows, `SELECT a.id, `+p.Select("a")+` FROM accounts a WHERE `+p.Column("a")+` = $1`, arg))
					return rows
				}
				require.NoError(t, pair.Do(b.ctx, b.member, func(p *expand.Pinned[string, string]) error {
					write(p, `INSERT INTO accounts (id, `+p.Columns()+`) VALUES (:id, `+p.Params()+`)`, first)
					write(p, `UPDATE accounts SET `+p.Set()+` WHERE id = :id`, second)
					write(p, `INSERT INTO accounts (id, `+p.Columns()+`) VALUES (:id, `+p.Params()+`) ON CONFLICT (id) DO UPDATE SET `+p.Excluded(), third)
					require.Empty(t, find(p, first))
					rows := find(p, third)
					require.Len(t, rows, 1)
					require.Equal(t, id, rows[0].ID)
					got, err := p.Read(rows[0].Hash, id)
					require.Equal(t, hashed(third), got)
					return err
				}))
				if ph >= switchover.Expand {
					require.Equal(t, 1, count(t, b.db, `SELECT count(*) FROM accounts WHERE hash = '`+hashed(third)+`'`))
				}
				if ph <= switchover.Switch {
					require.Equal(t, 1, count(t, b.db, `SELECT count(*) FROM accounts WHERE password = '`+third+`'`))
				}
				if ph == switchover.Contract {
					require.Equal(t, 1, count(t, b.db, `SELECT count(*) FROM accounts WHERE password IS NULL`))
				}
				if ph > switchover.Start { // in Start all are strays, for they write old alone
					require.Zero(t, count(t, b.db, `SELECT count(*) FROM tandem.stray`))
				}
				b.db.MustExec(`TRUNCATE tandem.stray`)
			}
			require.Zero(t, count(t, b.db, `SELECT count(*) FROM accounts WHERE hash IS NULL AND id > 0`))
		})
	}
}

// In a transaction, and beside the repository, which writes the other columns.
func TestFromOldInATransaction(t *testing.T) {
	t.Parallel()
	pair := passwords("")
	b := newBed(t, `CREATE TABLE accounts (id bigint PRIMARY KEY, password text NOT NULL, email text NOT NULL DEFAULT '')`, pair)
	type model struct {
		ID    int64  `db:"id"`
		Hash  string `db:"hash"`
		Email string `db:"email"`
	}
	r, err := expand.NewRepository[model](b.db, b.member, pair)
	require.NoError(t, err)
	b.set(switchover.Migrate)
	change := func(password string) error {
		return expand.InTx(b.ctx, b.db, b.member, nil, func(ctx context.Context, tx *expand.Tx) error {
			p, err := pair.In(tx)
			if err != nil {
				return err
			}
			v, err := p.ValueFromOld(password)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO accounts (id, `+p.Columns()+`) VALUES (1, $1, $2, $3)`, p.Values(v)...); err != nil {
				return err
			}
			return r.In(tx).UpdateColumns(ctx, &model{ID: 1, Email: "ada@example.org"}, "email")
		})
	}
	require.ErrorIs(t, change(""), errRange)
	require.Zero(t, count(t, b.db, `SELECT count(*) FROM accounts`))
	require.NoError(t, change("secret"))
	got, err := r.Get(b.ctx, 1)
	require.NoError(t, err)
	require.Equal(t, model{1, hashed("secret"), "ada@example.org"}, got)
	require.Zero(t, count(t, b.db, `SELECT count(*) FROM tandem.stray`)+count(t, b.db, `SELECT count(*) FROM tandem.dirty`))
	require.NoError(t, pair.Do(b.ctx, b.member, func(p *expand.Pinned[string, string]) error {
		_, err := p.Value("no password")
		require.ErrorIs(t, err, expand.ErrNoBackward)
		arg, err := p.ArgFromOld("")
		require.Empty(t, arg)
		return err
	}))
	b.set(switchover.Switch)
	require.NoError(t, pair.Do(b.ctx, b.member, func(p *expand.Pinned[string, string]) error {
		_, err := p.ArgFromOld("")
		require.ErrorIs(t, err, errRange)
		return nil
	}))
}
