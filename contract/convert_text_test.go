package contract_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"strings"
)

// parseAddress writes a composite value as PostgreSQL shows it.
var parseAddress = ofText(func(s string) (string, error) {
	parts := append(strings.Split(s, "|"), "")
	quote := func(field string) string {
		if !strings.ContainsAny(field, `"\(), `) {
			return field // empty: NULL
		}
		return `"` + strings.NewReplacer(`"`, `""`, `\`, `\\`).Replace(field) + `"`
	}
	return "(" + quote(parts[0]) + "," + quote(parts[1]) + ")", nil
})

var showAddress = ofText(func(s string) (string, error) {
	i := strings.LastIndexByte(s, ',') // the zip has none
	unquote := func(field string) string {
		if strings.HasPrefix(field, `"`) {
			field = strings.NewReplacer(`""`, `"`, `\\`, `\`).Replace(field[1 : len(field)-1])
		}
		return field
	}
	return unquote(s[1:i]) + "|" + unquote(s[i+1:len(s)-1]), nil
})

func hash(v text) ([]byte, error) {
	if !v.Valid {
		return nil, nil
	}
	sum := sha256.Sum256([]byte(v.V))
	return sum[:], nil
}

// sealed is a type of the application's that the driver does not know.
type sealed = sql.Null[[]byte]

var box = func() cipher.AEAD {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}()

func seal(v []byte) (sealed, error) {
	if v == nil {
		return sealed{}, nil
	}
	nonce := make([]byte, box.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return sealed{V: box.Seal(nonce, nonce, v, nil), Valid: true}, nil
}

func open(v sealed) ([]byte, error) {
	if !v.Valid {
		return nil, nil
	}
	if len(v.V) < box.NonceSize() {
		return nil, errUnfit
	}
	return box.Open([]byte{}, v.V[:box.NonceSize()], v.V[box.NonceSize():], nil)
}

func equalSealed(a, b sealed) bool {
	x, errX := open(a)
	y, errY := open(b)
	return errX == nil && errY == nil && (x == nil) == (y == nil) && bytes.Equal(x, y)
}
