package contract_test

import (
	"github.com/tandem-go/tandem/expand"
)

var textToDomain = trial[text, text]{before: `CREATE DOMAIN label AS text`, a: "text", b: "public.label",
	spec:   expand.Spec[text, text]{Forward: keep[text], Backward: keep[text], ForwardSQL: "{a}", BackwardSQL: "{b}"},
	values: []value{{old: "NULL", new: "NULL"}, {old: "''", new: ""}, {old: "' ä𝄞 '", new: " ä𝄞 "}, {old: "'12345678'", new: "12345678"}},
}

// Of the composite the second field may be NULL, and so may both.
var textToComposite = trial[text, text]{before: `CREATE TYPE address AS (street text, zip varchar(10))`, a: "text", b: "public.address",
	spec: expand.Spec[text, text]{Forward: parseAddress, Backward: showAddress,
		ForwardSQL:  `CASE WHEN {a} IS NOT NULL THEN ROW(nullif(split_part({a}, '|', 1), ''), nullif(split_part({a}, '|', 2), ''))::public.address END`,
		BackwardSQL: `CASE WHEN num_nonnulls({b}) > 0 THEN coalesce(({b}).street, '') || '|' || coalesce(({b}).zip, '') END`},
	values: []value{
		{old: "NULL", new: "NULL"},
		{old: "'Main St|12345'", new: `("Main St",12345)`},
		{old: "'Straße 1|'", new: `("Straße 1",)`},
		{old: "'|9'", new: "(,9)"},
		{old: "'|'", new: "(,)"},
		{old: "''", new: "(,)", back: "'|'"},
		{old: `'say "hi", (you)\|1'`, new: `("say ""hi"", (you)\\",1)`},
	},
}

var textToHash = trial[text, blob]{a: "text", b: "bytea",
	spec:  expand.Spec[text, blob]{Forward: hash, ForwardSQL: "sha256(convert_to({a}, 'UTF8'))"},
	shown: "encode(t.b, 'hex')",
	values: []value{
		{old: "NULL", new: "NULL"},
		{old: "''", new: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{old: "'abc'", new: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	},
}

// A sealed value begins with a random nonce, so two of one value differ: the pair's Equal opens them.
var bytesToCipher = trial[blob, sealed]{a: "bytea", b: "bytea",
	spec:   expand.Spec[blob, sealed]{Forward: seal, Backward: open, Equal: equalSealed},
	shown:  "(t.b IS NOT NULL)::text",
	values: []value{{old: "NULL", new: "false"}, {old: "''::bytea", new: "true"}, {old: `'\x00ff5c7b22'::bytea`, new: "true"}},
}
