package tokens_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

// floodTokens is how many tokens TestFlood sends; the long form is TOKENS_FLOOD=1000000.
func floodTokens(t *testing.T) int {
	text := os.Getenv("TOKENS_FLOOD")
	if text == "" {
		return 3000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("TOKENS_FLOOD is %q, want a number", text)
	}
	return n
}

// J28, V13: beside a flood of tokens, made up, mutated, or validly signed and used
// once, good ones keep being accepted, and their signatures are not checked again.
// The memory does not grow, and none of the flood is accepted that isn't a token.
func TestFlood(t *testing.T) {
	const bound = 256 << 10
	random := rand.New(rand.NewPCG(1, 2))
	a := newCachedAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.SignatureCacheBytes = bound })
	var good, signed []string
	for i := range 50 {
		c := tokentest.BoundClaims()
		c["jti"] = fmt.Sprint("good-", i)
		good = append(good, tokentest.Mint(t, ecKey, c))
		a.warm(t, good[i])
	}
	for i := range 1000 {
		c := tokentest.BoundClaims()
		c["jti"] = fmt.Sprint("flood-", i)
		signed = append(signed, tokentest.Mint(t, ecKey, c))
	}
	var before, after runtime.MemStats
	n := floodTokens(t)
	for i := range n {
		if i == n/10 { // whatever is made once is there
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		token, isToken := good[random.IntN(len(good))], false
		switch random.IntN(6) {
		case 0:
			token, isToken = signed[i%len(signed)], true
		case 1:
			token = randomText(random, random.IntN(2000))
		case 2:
			token = randomText(random, 20) + "." + randomText(random, 200) + "." + randomText(random, 86)
		case 3: // one character changed
			at := random.IntN(len(token))
			changed := "A"
			if token[at] == 'A' {
				changed = "B"
			}
			token = token[:at] + changed + token[at+1:]
		case 4: // cut, or longer
			token = token[:random.IntN(len(token))] + strings.Repeat("A", random.IntN(3)*20_000)
		case 5: // parts of two tokens
			one, two := strings.Split(token, "."), strings.Split(signed[i%len(signed)], ".")
			token = one[0] + "." + two[1] + "." + one[2]
		}
		if _, err := a.Authenticate(t.Context(), token); (err == nil) != isToken {
			t.Fatalf("token %d of the flood, which is good %v: %v", i, isToken, err)
		}
		if _, err := a.Authenticate(t.Context(), good[i%len(good)]); err != nil || !a.cached {
			t.Fatalf("after %d tokens of the flood a good one gives %v, signature cached %v", i+1, err, a.cached)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2*bound {
		t.Errorf("%d tokens made the memory grow by %d bytes", n, grown)
	}
	runtime.KeepAlive(a)
}

func randomText(random *rand.Rand, n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[random.IntN(len(alphabet))]
	}
	return string(b)
}
