package compat

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for sign
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"

	"github.com/kubesa/serviceaccount/keys"
)

// A tokenKey signs the tokens of the generator, which writes them as text so
// that it can make any mistake.
type tokenKey struct {
	key crypto.Signer
	alg string // the one that belongs to the key
	id  string
}

// tokenKeys are the keys that both authenticators know, and one that they
// don't.
var tokenKeys = sync.OnceValue(func() (known []tokenKey) {
	for _, key := range []crypto.Signer{
		must(rsa.GenerateKey(rand.Reader, 2048)),
		must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
	} {
		known = append(known, tokenKey{key, string(must(keys.AlgorithmOf(key.Public()))), must(keys.ID(key.Public()))})
	}
	return known
})

var strangeKey = sync.OnceValue(func() tokenKey {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return tokenKey{key, "ES256", must(keys.ID(key.Public()))}
})

var hashes = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}

// sign returns the signature of text under alg, which need not be the one that
// belongs to the key, or nothing if the key can't do it.
func (k tokenKey) sign(alg, text string) []byte {
	if len(alg) != 5 {
		return nil
	}
	hash := hashes[alg[2:]]
	if hash == 0 {
		return nil
	}
	h := hash.New()
	h.Write([]byte(text))
	digest := h.Sum(nil)
	switch key := k.key.(type) {
	case *rsa.PrivateKey:
		switch alg[:2] {
		case "RS":
			return must(rsa.SignPKCS1v15(rand.Reader, key, hash, digest))
		case "PS":
			return must(rsa.SignPSS(rand.Reader, key, hash, digest, nil))
		case "HS":
			mac := hmac.New(sha256.New, key.PublicKey.N.Bytes())
			mac.Write([]byte(text))
			return mac.Sum(nil)
		}
	case *ecdsa.PrivateKey:
		if alg[:2] != "ES" {
			return nil
		}
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			panic(err)
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	return nil
}

// A member is one member of a JSON object as text.
type member struct{ name, value string }

// An object is a JSON object that may have mistakes: members twice, values that
// are none.
type object []member

func (o *object) set(name, value string) {
	for i := range *o {
		if (*o)[i].name == name {
			(*o)[i].value = value
			return
		}
	}
	*o = append(*o, member{name, value})
}

func (o *object) remove(name string) {
	for i := range *o {
		if (*o)[i].name == name {
			*o = append((*o)[:i:i], (*o)[i+1:]...)
			return
		}
	}
}

func (o object) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(m.name))
		b.WriteByte(':')
		b.WriteString(m.value)
	}
	b.WriteByte('}')
	return b.String()
}

func quote(text string) string { return string(must(json.Marshal(text))) }

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
