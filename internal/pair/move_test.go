package pair_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
)

func move() pair.Definition {
	return pair.Definition{Table: ident.Table{Schema: "public", Name: "users"}, Key: []string{"id", "shop"}, Old: []string{"bio"},
		To: ident.Table{Schema: "app", Name: "profiles"}, ToKey: []string{"user_id", "shop"}, New: []string{"bio"}, Stamp: "bio_stamp",
		Types: []string{"text"}, Forward: []string{"upper({bio})"}, Backward: []string{"lower({bio}) /* {bio} */"}}
}

func TestMoved(t *testing.T) {
	t.Parallel()
	d := move()
	require.NoError(t, d.Check())
	require.Equal(t, "app.profiles.bio", d.Name())
	require.Equal(t, "p.user_id = t.id AND p.shop = t.shop", d.Joined("p.", "t."))
	require.Equal(t, "NOT EXISTS (SELECT FROM app.profiles AS p WHERE p.user_id = t.id AND p.shop = t.shop AND p.bio_stamp IS NOT NULL)", d.Unstamped())
	require.Equal(t, "EXISTS (SELECT FROM app.profiles AS p WHERE p.user_id = t.id AND p.shop = t.shop AND p.bio_stamp >= 83886080)", d.Contracted())
	there := d.There()
	require.False(t, there.Moved())
	require.Equal(t, d.To, there.Table)
	require.Equal(t, d.ToKey, there.Key)
	apart := d.Apart()
	require.NoError(t, apart.Check())
	require.Equal(t, []string{"bio_there"}, apart.New)
	require.Equal(t, []string{"lower(bio_there) /* {bio} */"}, apart.BackwardSQL(""))
	require.Equal(t, []string{"lower(bio) /* {bio} */"}, d.BackwardSQL(""), "the original is as it was")
	plain := rename()
	require.Equal(t, plain, plain.There())
	require.Equal(t, plain, plain.Apart())
	require.Equal(t, "t.full_name_stamp IS NULL", plain.Unstamped())
	require.Equal(t, "t.full_name_stamp >= 83886080", plain.Contracted())
}

// What is stored of a pair in one table is as it was before there were others: its fingerprint must not change under way.
func TestMovedIsNotInTheFingerprint(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(rename())
	require.NoError(t, err)
	require.JSONEq(t, `{"table": {"schema": "public", "name": "users"}, "key": ["id"], "old": ["user_name"], "new": ["full_name"], "stamp": "full_name_stamp",
		"forward": ["{user_name}"], "backward": ["{full_name}"]}`, string(text))
	text, err = json.Marshal(move())
	require.NoError(t, err)
	var back pair.Definition
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, move(), back)
}

func TestShares(t *testing.T) {
	t.Parallel()
	column := func(a, b pair.Definition) string {
		_, name := a.Shares(b)
		_, other := b.Shares(a)
		require.Equal(t, name, other)
		return name
	}
	other := move()
	other.To.Name = "accounts"
	require.Equal(t, "bio", column(move(), other), "old is one column")
	other.Old = []string{"motto"}
	require.Empty(t, column(move(), other))
	plain := rename()
	plain.Table, plain.Old = move().To, []string{"bio"}
	require.Equal(t, "bio", column(move(), plain), "new of one is old of the other")
	plain.Table = move().Table
	plain.Old, plain.New = []string{"x"}, []string{"bio_stamp"}
	require.Empty(t, column(move(), plain), "another table's column of that name")
}
