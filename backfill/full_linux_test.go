package backfill_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
)

// smallDisk is a folder of the server's user with room for some megabytes.
func smallDisk(t *testing.T, b *bed) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	disk, err := os.MkdirTemp("", "tandem-disk-") //nolint:usetesting // the server's user has to get there
	require.NoError(t, err)
	require.NoError(t, syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16m,mode=755"))
	t.Cleanup(func() {
		require.NoError(t, syscall.Unmount(disk, syscall.MNT_DETACH))
		require.NoError(t, os.Remove(disk))
	})
	data, err := os.Stat(b.texts(`SHOW data_directory`)[0])
	require.NoError(t, err)
	owner, ok := data.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	space := filepath.Join(disk, "space")
	require.NoError(t, os.Mkdir(space, 0o700))
	require.NoError(t, os.Chown(space, int(owner.Uid), int(owner.Gid)))
	return space
}

// A disk that is full ends the run with the server's word for it. The position is kept, and once there is room a rerun finishes.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	srv, err := server.StartLocal(t.Context(), server.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	b := &bed{T: t, ctx: t.Context(), dsn: pgtest.CopyOn(t, srv, "template0"), pair: fullName}
	b.db = pgtest.Open(t, b.dsn)
	space := smallDisk(t, b)
	b.exec(`CREATE TABLESPACE small LOCATION '` + space + `'`)
	t.Cleanup(func() { // before the disk goes
		_, err := b.db.Exec(`DROP TABLE IF EXISTS users, filler`)
		require.NoError(t, err)
		_, err = b.db.Exec(`DROP TABLESPACE small`)
		require.NoError(t, err)
	})
	b.exec(`SET default_tablespace = small; ` + usersSQL(100_000) + `; CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 7200); RESET default_tablespace`)
	b.migrate(fullName)
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{})
	require.Error(t, err)
	require.Equal(t, "53100", pg.SQLState(err), err)
	require.ErrorContains(t, err, "from block ")
	require.EqualValues(t, res.Rows, b.number(stamped))
	b.exec(`DROP TABLE filler`)
	rest, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{})
	require.NoError(t, err)
	require.Equal(t, 100_000-res.Rows, rest.Rows)
	b.verified(100_000)
}
