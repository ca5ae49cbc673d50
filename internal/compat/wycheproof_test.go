package compat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/kubesa/serviceaccount/internal/jose"
)

// Why valid vectors are refused.
const (
	shared    = "HMAC: the verifier would hold the key that signs"
	algorithm = "algorithm other than RS256, ES256, ES384 and ES512"
	empty     = "nothing is signed: no token is empty"
	alphabet  = "characters outside base64url, which decoders may skip but tokens must not have"
	misnamed  = `"alg" of the JWK is "ES521", which no algorithm is called`
)

// refusedByPolicy are the valid vectors that are refused, by file and number.
var refusedByPolicy = map[string]map[int]string{
	"json_web_signature_test": {
		1: shared, 348: shared, 352: shared, 357: shared, 358: shared, 359: shared, 376: shared, 377: shared,
		259: empty, 264: empty, 268: empty, 272: empty, 320: empty, 325: empty,
		265: algorithm, 266: algorithm, 267: algorithm, // RS384
		269: algorithm, 270: algorithm, 271: algorithm, // RS512
		273: algorithm, 274: algorithm, 275: algorithm, 287: algorithm, 288: algorithm, // PS256
		321: algorithm, 322: algorithm, 323: algorithm, // PS384
		326: algorithm, 327: algorithm, 328: algorithm, // PS512
		346: algorithm, 350: algorithm, // PS384, RFC 7520
		347: misnamed, 351: misnamed,
		372: alphabet, 373: alphabet,
	},
	"json_web_key_test":    {2: shared, 13: shared, 14: shared, 15: shared},
	"json_web_crypto_test": {1: shared, 48: shared},
}

// A wycheproofFile has vectors in groups, each with a key or a key set.
type wycheproofFile struct {
	TestGroups []struct {
		Comment string          `json:"comment"`
		Private json.RawMessage `json:"private"`
		Public  json.RawMessage `json:"public"`
		Tests   []struct {
			ID      int             `json:"tcId"`
			Comment string          `json:"comment"`
			JWS     json.RawMessage `json:"jws"` // absent for other kinds of vectors
			Result  string          `json:"result"`
		} `json:"tests"`
	} `json:"testGroups"`
}

// A vector is one JWS with the JWK Set that is to verify it.
type vector struct {
	file  string
	id    int
	name  string
	keys  []byte
	jws   string
	valid bool
}

// vectors returns all vectors about signatures.
func vectors(t *testing.T) (all []vector) {
	t.Helper()
	for file := range refusedByPolicy {
		data, err := fs.ReadFile(wycheproof.TestVectors, file+".json")
		if err != nil {
			t.Fatal(err)
		}
		var content wycheproofFile
		if err := json.Unmarshal(data, &content); err != nil {
			t.Fatal(err)
		}
		for _, group := range content.TestGroups {
			key := group.Public
			if key == nil {
				key = group.Private // of a shared key there is nothing else
			}
			var set struct{ Keys []json.RawMessage }
			if json.Unmarshal(key, &set) != nil || set.Keys == nil {
				key = json.RawMessage(`{"keys":[` + string(key) + `]}`)
			}
			for _, test := range group.Tests {
				if test.JWS == nil {
					continue
				}
				v := vector{file, test.ID, group.Comment + " " + test.Comment, key, string(test.JWS), test.Result == "valid"}
				var compact string
				if json.Unmarshal(test.JWS, &compact) == nil {
					v.jws = compact // others are JSON objects
				}
				all = append(all, v)
			}
		}
	}
	return all
}

// verify returns nil if one of the keys made the JWS.
func (v vector) verify(keys []jose.JWK) error {
	token, err := jose.ParseJWS(v.jws, 0)
	if err != nil {
		return err
	}
	err = errors.New("no key with the id of the token")
	for _, key := range keys {
		if token.KeyID != "" && token.KeyID != key.KeyID {
			continue
		}
		if err = token.Verify(key.Key); err == nil {
			return nil
		}
	}
	return err
}

// J02, J05..J08, J11, J13, J17, J18, J26: no invalid vector is accepted, and
// every valid one is, except for those that are listed.
func TestWycheproof(t *testing.T) {
	counts := map[string]int{}
	for _, v := range vectors(t) {
		keys, _, err := jose.ParseJWKS(v.keys)
		if err == nil {
			err = v.verify(keys)
		}
		reason := refusedByPolicy[v.file][v.id]
		verdict := fmt.Sprintf("valid %v, accepted %v", v.valid, err == nil)
		counts[verdict]++
		switch {
		case !v.valid && err == nil:
			t.Errorf("%s %d (%s) is accepted, want it refused", v.file, v.id, v.name)
		case v.valid && err != nil && reason == "":
			t.Errorf("%s %d (%s) is refused: %v", v.file, v.id, v.name, err)
		case reason != "" && (err == nil || !v.valid):
			t.Errorf("%s %d (%s) is listed as refused (%s): valid %v, %v", v.file, v.id, v.name, reason, v.valid, err)
		}
	}
	want := map[string]int{"valid true, accepted true": 12, "valid true, accepted false": 43, "valid false, accepted false": 421}
	for verdict, n := range want {
		if counts[verdict] != n {
			t.Errorf("%s: %d vectors, want %d of 476: other vectors need another list", verdict, counts[verdict], n)
		}
	}
}

// invalidKeys are the members of a JWK, beside the numbers of the key, for
// which vectors are invalid. [jose.ParseJWKS] leaves such keys out and names the
// member.
var invalidKeys = []string{`"use"`, `"key_ops"`, `"alg"`}

// The same with the bare numbers of the keys, so that the verdict is the
// signature's alone: what is accepted then is invalid for the key's sake.
func TestWycheproofBareKeys(t *testing.T) {
	accepted := 0
	for _, v := range vectors(t) {
		keys, ok := bareKeys(t, v.keys)
		if !ok {
			continue
		}
		err := v.verify(keys)
		if err != nil {
			if reason := refusedByPolicy[v.file][v.id]; v.valid && reason != empty && reason != algorithm && reason != alphabet {
				t.Errorf("%s %d (%s) is refused: %v", v.file, v.id, v.name, err)
			}
			continue
		}
		accepted++
		if v.valid {
			continue
		}
		_, skipped, err := jose.ParseJWKS(v.keys)
		explained := false
		for _, text := range invalidKeys {
			explained = explained || len(skipped) == 1 && strings.Contains(skipped[0].Error(), text)
		}
		if !explained {
			t.Errorf("%s %d (%s) is accepted with the bare key, and the JWK is left out with %v, %v", v.file, v.id, v.name, skipped, err)
		}
	}
	if accepted < 13 {
		t.Errorf("%d vectors are accepted, want all valid ones of RS256, ES256 and ES512", accepted)
	}
}

// bareKeys returns the RSA and EC keys of a JWK Set without what it says of
// them, and false if there are none.
func bareKeys(t *testing.T, set []byte) (keys []jose.JWK, ok bool) {
	t.Helper()
	var all struct{ Keys []map[string]any }
	if err := json.Unmarshal(set, &all); err != nil {
		t.Fatal(err)
	}
	for _, key := range all.Keys {
		id, _ := key["kid"].(string)
		for _, name := range []string{"alg", "use", "key_ops", "d", "p", "q", "dp", "dq", "qi"} {
			delete(key, name)
		}
		key["kid"] = "bare"
		data, err := json.Marshal(map[string]any{"keys": []any{key}})
		if err != nil {
			t.Fatal(err)
		}
		parsed, _, err := jose.ParseJWKS(data)
		if err != nil || len(parsed) == 0 {
			continue // no key of ours: shared, too short, with known factors
		}
		keys = append(keys, jose.JWK{KeyID: id, Key: parsed[0].Key})
	}
	return keys, len(keys) > 0
}
