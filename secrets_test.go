package serviceaccount_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
	"github.com/kubesa/serviceaccount/tokens/cached"
	"github.com/kubesa/serviceaccount/tokens/inspect"
	"github.com/kubesa/serviceaccount/tokens/keeper"
	"github.com/kubesa/serviceaccount/tokens/lastused"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// Whatever prints or encodes a value of the library that has, or had to do with, a token
// or a private key doesn't show it (L02).
func TestValuesHideSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		private, err := keys.Generate(keys.ES256)
		if err != nil {
			t.Fatal(err)
		}
		authority, err := fake.NewAuthority(fake.AuthorityConfig{Key: private, Cluster: fake.New(
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}})})
		if err != nil {
			t.Fatal(err)
		}
		account, err := authority.Cluster.GetServiceAccount(ctx, "ci", "builder")
		if err != nil {
			t.Fatal(err)
		}
		token, err := authority.Issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: account, Audiences: []string{"vault"}})
		if err != nil {
			t.Fatal(err)
		}
		verifier, err := cached.New(cached.Config{Verifier: authority.Authenticator, TTL: time.Hour, NegativeTTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		identity, err := verifier.Authenticate(ctx, token.Value, "vault")
		if err != nil {
			t.Fatal(err)
		}
		_, refused := verifier.Authenticate(ctx, token.Value, "other")
		_, event := authority.Authenticator.Evaluate(ctx, token.Value, "other")
		tracker, err := lastused.New(lastused.Config{Secrets: authority.Cluster})
		if err != nil {
			t.Fatal(err)
		}
		source, err := tokensource.New(tokensource.Config{Mint: func(context.Context) (*tokens.Token, error) { return token, nil }, Now: authority.Issuer.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := source.Token(ctx); err != nil {
			t.Fatal(err)
		}
		claims, err := inspect.PeekUnverified(token.Value)
		if err != nil {
			t.Fatal(err)
		}
		gate, err := bearer.NewGate(verifier, []string{"vault"}, tokens.Policy{})
		if err != nil {
			t.Fatal(err)
		}
		signer, err := keys.NewSigner(private)
		if err != nil {
			t.Fatal(err)
		}
		pem, err := keys.EncodePrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		var memory keyring.Memory
		change := keyring.Change{Index: []byte("{}"), Add: map[string][]byte{"a.pem": pem}}
		if _, err := memory.Swap(ctx, "", change); err != nil {
			t.Fatal(err)
		}
		stored, err := memory.Load(ctx)
		if err != nil {
			t.Fatal(err)
		}
		ring, err := keyring.New(keyring.Config{})
		if err != nil {
			t.Fatal(err)
		}
		file := keeper.File{Data: []byte(token.Value), Mode: 0o600}

		secrets := formsOf(t, token.Value, private.(*ecdsa.PrivateKey), pem)
		synctest.Wait() // calls that have answered may still be ending
		for _, value := range []any{
			*token, token, []tokens.Token{*token}, map[string]any{"token": token}, struct{ Token tokens.Token }{*token},
			*identity, identity, refused, event, claims, authority.Issuer, authority.Authenticator, verifier, gate, tracker, source,
			tokenissuer.Config{Signer: signer}, signer, ring, keyring.Config{}, &memory, stored, *stored, change, &change,
			file, &file, map[string]keeper.File{"token": file}, keeper.Want{Data: map[string][]byte{"token": []byte(token.Value)}},
			bearer.FailureOf(refused), inspect.Explain(ctx, authority.Authenticator, token.Value, "other"),
		} {
			for how, text := range rendered(value) {
				for what, secret := range secrets {
					if strings.Contains(text, secret) {
						t.Errorf("%s of a %T shows %s:\n%.1024s", how, value, what, text)
					}
				}
			}
		}
	})
}

// formsOf returns what may give the secrets away, by what it is.
func formsOf(t *testing.T, token string, private *ecdsa.PrivateKey, pem []byte) map[string]string {
	t.Helper()
	d, err := private.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	number := new(big.Int).SetBytes(d) // as fmt and JSON print it
	signature := token[strings.LastIndexByte(token, '.')+1:]
	forms := map[string]string{"the number of the key": number.String()}
	for what, secret := range map[string][]byte{"the signature": []byte(signature), "the key": d, "the PEM": pem[40:120]} {
		forms[what+" as text"] = string(secret)
		forms[what+" in decimal"] = strings.Trim(fmt.Sprint(secret[:16]), "[]")
		forms[what+" in hex"] = hex.EncodeToString(secret[:16])
		for shift := range 3 { // of all three alignments
			forms[fmt.Sprint(what, " in base64, ", shift)] = base64.RawStdEncoding.EncodeToString(secret[shift : shift+15])
		}
	}
	return forms
}

// rendered returns what value looks like, by who prints or encodes it.
func rendered(value any) map[string]string {
	texts := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%U", "%t"} {
		texts[verb] = fmt.Sprintf(verb, value)
	}
	add := func(how string, data []byte, err error) {
		if err == nil {
			texts[how] = string(data)
		} else {
			texts[how] = err.Error()
		}
	}
	data, err := json.Marshal(value)
	add("JSON", data, err)
	data, err = xml.Marshal(value)
	add("XML", data, err)
	data, err = yaml.Marshal(value)
	add("YAML", data, err)
	var encoded bytes.Buffer
	err = gob.NewEncoder(&encoded).Encode(value)
	add("gob", encoded.Bytes(), err)
	texts["slog text"], texts["slog JSON"] = writtenBy(value)
	for _, how := range slices.Collect(maps.Keys(texts)) {
		texts[how] = strings.ToLower(texts[how]) + texts[how]
	}
	return texts
}
