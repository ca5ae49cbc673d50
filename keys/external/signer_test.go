package external_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/external"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// A service is a Service with keys in memory. Each of its answers may
// be changed.
type service struct {
	mu      sync.Mutex
	key     *ecdsa.PrivateKey
	id      string
	answer  external.Keys
	err     error // of FetchKeys
	fetches int
	life    time.Duration
	lifeErr error
	slow    time.Duration
	late    *external.Keys                                         // what the next fetch returns, whatever changes meanwhile
	sign    func(header, signature string) (string, string, error) // changes what Sign returns
}

func derOf(t *testing.T, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newService(t *testing.T) (*service, string) {
	t.Helper()
	key, id := keystest.KeyAndID(t)
	return &service{
		key: key.(*ecdsa.PrivateKey), id: id,
		answer: external.Keys{
			Keys:          []external.Key{{ID: id, PKIX: derOf(t, key.Public())}},
			DataTimestamp: time.Unix(1, 0), RefreshHint: time.Minute,
		},
		life: time.Hour,
	}, id
}

func (s *service) Sign(_ context.Context, claims string) (header, signature string, err error) {
	header = encoded(`{"alg":"ES256","kid":"` + s.id + `","typ":"JWT"}`)
	digest := sha256.Sum256([]byte(header + "." + claims))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		return "", "", err
	}
	var raw [64]byte
	r.FillBytes(raw[:32])
	v.FillBytes(raw[32:])
	signature = base64.RawURLEncoding.EncodeToString(raw[:])
	if s.sign != nil {
		return s.sign(header, signature)
	}
	return header, signature, nil
}

func (s *service) FetchKeys(context.Context) (*external.Keys, error) {
	s.mu.Lock()
	slow, late := s.slow, s.late
	s.late = nil
	s.mu.Unlock()
	time.Sleep(slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetches++
	if late != nil {
		return late, nil
	}
	if s.err != nil {
		return nil, s.err
	}
	copied := s.answer
	copied.Keys = slices.Clone(copied.Keys)
	return &copied, nil
}

func (s *service) MaxTokenLifetime(context.Context) (time.Duration, error) { return s.life, s.lifeErr }

func (s *service) change(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func newSigner(t *testing.T, cfg external.SignerConfig) *external.Signer {
	t.Helper()
	s, err := external.NewSigner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WaitForKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// KEY-40
func TestSignerSigns(t *testing.T) {
	svc, id := newService(t)
	s := newSigner(t, external.SignerConfig{Service: svc})
	if err := keys.SelfTest(t.Context(), s, s); err != nil {
		t.Fatal(err)
	}
	payload := `{"sub":"system:serviceaccount:default:default"}`
	token, err := s.Sign(t.Context(), []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[1] != base64.RawURLEncoding.EncodeToString([]byte(payload)) {
		t.Errorf("got %q, want header, payload and signature", token)
	}
	keystest.WantKnown(t, s, id, true)
}

func encoded(header string) string { return base64.RawURLEncoding.EncodeToString([]byte(header)) }

// KEY-41
func TestSignerChecksWhatIsSigned(t *testing.T) {
	header := func(h string) func(string, string) (string, string, error) {
		return func(_, signature string) (string, string, error) { return encoded(h), signature, nil }
	}
	other := keystest.Must(keys.NewSigner(keystest.NewKey()))
	tests := []struct {
		name string
		sign func(header, signature string) (string, string, error)
		want string
		is   error
	}{
		{name: "fails", sign: func(string, string) (string, string, error) { return "", "", errors.New("HSM is locked") }, want: "while signing jwt: HSM is locked"},
		{name: "not base64url", sign: func(_, s string) (string, string, error) { return "!", s, nil }, want: "while validating header: while unwrapping header: "},
		{name: "no JSON", sign: header("x"), want: "while validating header: while parsing header JSON: "},
		{name: "unknown member", sign: header(`{"alg":"ES256","kid":"k","typ":"JWT","x5u":"https://x"}`), want: "while validating header: while parsing header JSON: "},
		{name: "two kids", sign: header(`{"alg":"ES256","kid":"k","kid":"l","typ":"JWT"}`), want: "while validating header: while parsing header JSON: "},
		{name: "bad type", sign: header(`{"alg":"ES256","kid":"k","typ":"at+jwt"}`), want: "while validating header: bad type"},
		{name: "no type", sign: header(`{"alg":"ES256","kid":"k"}`), want: "while validating header: bad type"},
		{name: "no key id", sign: header(`{"alg":"ES256","typ":"JWT"}`), want: "while validating header: key id missing"},
		{name: "long key id", sign: header(`{"alg":"ES256","typ":"JWT","kid":"` + strings.Repeat("k", 1025) + `"}`), want: "while validating header: key id longer than 1 kb"},
		{name: "none", sign: header(`{"alg":"none","kid":"k","typ":"JWT"}`), want: `while validating header: bad signing algorithm "none"`},
		{name: "HS256", sign: header(`{"alg":"HS256","kid":"k","typ":"JWT"}`), want: `while validating header: bad signing algorithm "HS256"`},
		{name: "no signature", sign: func(h, _ string) (string, string, error) { return h, "", nil }, want: "empty signature returned"},
		{name: "unknown key", sign: header(`{"alg":"ES256","kid":"k","typ":"JWT"}`), is: keys.ErrMismatch},
		{name: "signature of another key", sign: func(h, _ string) (string, string, error) {
			token := keystest.Must(other.Sign(context.Background(), []byte(`{"sub":"x"}`)))
			return h, strings.Split(token, ".")[2], nil
		}, is: keys.ErrMismatch},
		{name: "signature with a dot", sign: func(h, s string) (string, string, error) { return h, s + "." + s, nil }, is: keys.ErrMismatch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc, _ := newService(t)
			svc.sign = tt.sign
			s := newSigner(t, external.SignerConfig{Service: svc})
			token, err := s.Sign(t.Context(), []byte(`{"sub":"x"}`))
			if token != "" || err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %q and %v, want %q, %v", token, err, tt.want, tt.is)
			}
		})
	}

	// KEY-32, KEY-41: a key that others don't know.
	svc, id := newService(t)
	svc.answer.Keys[0].ExcludeFromDiscovery = true
	s := newSigner(t, external.SignerConfig{Service: svc})
	want := "while validating header: key used for signing JWT (kid: " + id + ") is excluded from OIDC discovery docs"
	if _, err := s.Sign(t.Context(), []byte(`{"sub":"x"}`)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if list, err := s.PublicKeys(t.Context(), id); err != nil || len(list) != 1 || !list[0].Unpublished {
		t.Errorf("got %v, %v, want an unpublished key", list, err)
	}
	s = newSigner(t, external.SignerConfig{Service: svc, AllowUnpublished: true})
	if _, err := s.Sign(t.Context(), []byte(`{"sub":"x"}`)); err != nil {
		t.Error(err)
	}
}

// KEY-42
func TestSignerChecksKeys(t *testing.T) {
	tests := []struct {
		name   string
		change func(a *external.Keys)
		want   string
	}{
		{"no hint", func(a *external.Keys) { a.RefreshHint = 0 }, "found invalid refresh hint (0s)"},
		{"negative hint", func(a *external.Keys) { a.RefreshHint = -5 * time.Second }, "found invalid refresh hint (-5s)"},
		{"no keys", func(a *external.Keys) { a.Keys = nil }, "found no keys"},
		{"65 keys", func(a *external.Keys) { a.Keys = slices.Repeat(a.Keys, 65) }, "found 65 public keys, want at most 64"},
		{"as large as may be", func(a *external.Keys) { a.Keys[0].PKIX = make([]byte, 2<<10) }, "while parsing external public keys: key \"KEY\": not PKIX DER"},
		{"a byte more", func(a *external.Keys) { a.Keys[0].PKIX = make([]byte, 2<<10+1) }, "found a public key \"KEY\" of 2049 bytes, want at most 2048"},
		{"large key", func(a *external.Keys) { a.Keys[0].PKIX = append(a.Keys[0].PKIX, make([]byte, 2<<10)...) }, "found a public key \"KEY\" of 2139 bytes, want at most 2048"},
		{"no id", func(a *external.Keys) { a.Keys[0].ID = "" }, `found invalid public key id ""`},
		{"long id", func(a *external.Keys) { a.Keys[0].ID = strings.Repeat("k", 1025) }, "found invalid public key id"},
		{"no key", func(a *external.Keys) { a.Keys[0].PKIX = nil }, "found empty public key"},
		{"garbage", func(a *external.Keys) { a.Keys[0].PKIX = []byte("secret") }, "while parsing external public keys: key \"KEY\": not PKIX DER"},
		{"weak key", func(a *external.Keys) {
			a.Keys[0].PKIX = keystest.Must(x509.MarshalPKIXPublicKey(keystest.WeakKey().Public()))
		}, "while parsing external public keys: key \"KEY\": unusable key: RSA modulus of 1024 bits, want 2048 to 8192"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc, id := newService(t)
			s := newSigner(t, external.SignerConfig{Service: svc})
			tt.change(&svc.answer)
			tt.want = strings.ReplaceAll(tt.want, "KEY", id)
			err := s.Refresh(t.Context())
			if err == nil || !strings.Contains(err.Error(), "while fetching token verification keys: "+tt.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if !errors.Is(s.Err(), err) {
				t.Errorf("Err is %v, want the same", s.Err())
			}
			keystest.WantKnown(t, s, id, true) // the old ones stay
		})
	}
}

// KEY-42: any timestamp counts, the year 1 too, as many keys as there may be, and the
// largest key.
func TestSignerAcceptsKeys(t *testing.T) {
	large := crypto.PublicKey(&rsa.PublicKey{N: new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(1), 8191), 0, 1), E: math.MaxInt32})
	for name, change := range map[string]func(a *external.Keys){
		"year 1": func(a *external.Keys) { a.DataTimestamp = time.Time{} },
		"long id": func(a *external.Keys) {
			a.Keys = append(a.Keys, external.Key{ID: strings.Repeat("k", 1024), PKIX: a.Keys[0].PKIX})
		},
		"64 keys": func(a *external.Keys) { a.Keys = slices.Repeat(a.Keys, 64) },
		"8192 bits": func(a *external.Keys) {
			a.Keys = append(a.Keys, external.Key{ID: "large", PKIX: derOf(t, large)})
		},
	} {
		svc, id := newService(t)
		change(&svc.answer)
		s := newSigner(t, external.SignerConfig{Service: svc}) // which waits for the keys
		if list, err := s.PublicKeys(t.Context(), id); err != nil || len(list) == 0 || s.Err() != nil {
			t.Errorf("%s: %d keys, %v, Err() = %v; want the key", name, len(list), err, s.Err())
		}
	}
}

// KEY-43, KEY-44, KEY-46
func TestSignerOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, id := newService(t)
		s := newSigner(t, external.SignerConfig{Service: svc})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.Run(ctx)
		fetched := func(want int) {
			t.Helper()
			synctest.Wait()
			svc.change(func() {
				if svc.fetches != want {
					t.Errorf("fetched %d times, want %d", svc.fetches, want)
				}
			})
		}
		fetched(1)
		if got := s.MaxAge(); got != time.Minute {
			t.Errorf("MaxAge is %v, want the hint", got)
		}
		time.Sleep(20*time.Second + time.Millisecond)
		if got := s.MaxAge(); got != 39*time.Second {
			t.Errorf("MaxAge is %v, want whole seconds until the next fetch", got)
		}
		time.Sleep(40 * time.Second)
		fetched(2)

		svc.change(func() { svc.err = errors.New("down") })
		time.Sleep(time.Minute)
		fetched(3)
		keystest.WantKnown(t, s, id, true)
		if s.Err() == nil {
			t.Error("Err is nil after a failure")
		}
		if got := s.MaxAge(); got != 0 {
			t.Errorf("MaxAge is %v, want nothing for keys that are old", got)
		}
		time.Sleep(30 * time.Second)
		fetched(6)
		keystest.WantUnavailable(t, s, "unknown", "down")
		fetched(6) // the last one was a moment ago
		time.Sleep(2 * time.Second)
		keystest.WantUnavailable(t, s, "unknown", "down")
		fetched(7)
		svc.change(func() { svc.err = nil })
		time.Sleep(10 * time.Second)
		fetched(8)
		keystest.WantKnown(t, s, "unknown", false)
		fetched(9)
		list, err := s.PublicKeys(t.Context(), "")
		if err != nil || len(list) != 1 {
			t.Errorf("got %d keys and %v for all ids, want 1", len(list), err)
		}

		// Many who ask for what isn't known cause one fetch a second. Only who caused it
		// knows that there is no such key.
		for i := range 1000 {
			keystest.WantUnavailable(t, s, fmt.Sprint(i), "the key was not there a moment ago")
		}
		fetched(9)
	})
}

// Made-up ids while the service is slow: two calls wait, up to two seconds, and the
// others return immediately.
func TestSignerBoundsWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, id := newService(t)
		svc.slow = 5 * time.Second
		s := newSigner(t, external.SignerConfig{Service: svc})
		for range 2 { // whoever has waited makes room
			time.Sleep(10 * time.Second)
			start := time.Now()
			var waited, returned atomic.Int32
			var group sync.WaitGroup
			for i := range 1000 {
				group.Go(func() {
					keystest.WantUnavailable(t, s, fmt.Sprint(i), "the key")
					switch time.Since(start) {
					case 0:
						returned.Add(1)
					case 2 * time.Second:
						waited.Add(1)
					}
				})
			}
			group.Wait()
			if waited.Load() != 2 || returned.Load() != 998 {
				t.Errorf("%d of 1,000 waited 2s, and %d not at all; want 2 and 998", waited.Load(), returned.Load())
			}
			keystest.WantKnown(t, s, id, true)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		svc.change(func() {
			if svc.fetches != 3 {
				t.Errorf("fetched %d times, want 3", svc.fetches)
			}
		})

		// Without keys everyone waits for the first.
		fresh, err := external.NewSigner(external.SignerConfig{Service: svc})
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() { keystest.WantKnown(t, fresh, id, true) })
		}
		group.Wait()
		time.Sleep(10 * time.Second)
		start := time.Now()
		keystest.WantUnavailable(t, fresh, "unknown", "they are being fetched")
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("after that one who asks for an unknown key waits %v, want 2s", took)
		}
		time.Sleep(5 * time.Second)
	})
}

// Who joins a fetch that began before his key was there learns nothing for certain, and
// a signature with a new key is checked with keys that were fetched after it.
func TestSignerJoiningCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, _ := newService(t)
		s := newSigner(t, external.SignerConfig{Service: svc})
		time.Sleep(time.Second)
		old := svc.answer
		svc.change(func() { svc.slow = time.Second; svc.late = &old })
		var group sync.WaitGroup
		group.Go(func() { keystest.WantKnown(t, s, "made up", false) })
		synctest.Wait()
		key, id := keystest.KeyAndID(t)
		svc.key, svc.id = key.(*ecdsa.PrivateKey), id
		svc.answer.Keys = append(slices.Clone(svc.answer.Keys), external.Key{ID: id, PKIX: derOf(t, key.Public())})
		group.Go(func() { keystest.WantUnavailable(t, s, id, "when the fetch began") })
		group.Go(func() {
			if _, err := s.Sign(t.Context(), []byte(`{"sub":"x"}`)); err != nil {
				t.Errorf("Sign() with a new key while keys are fetched = %v", err)
			}
		})
		group.Wait()
	})
}

// The age of the keys counts from the start of their fetch, by a clock that can't be
// set back.
func TestSignerAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, _ := newService(t)
		svc.slow = 5 * time.Second
		s := newSigner(t, external.SignerConfig{Service: svc})
		if got := s.MaxAge(); got != 55*time.Second {
			t.Errorf("MaxAge() = %v after a fetch of 5s, want the rest of the hint", got)
		}
		start, back := time.Now().Round(0), time.Duration(0)
		svc.slow = 0
		s = newSigner(t, external.SignerConfig{Service: svc, Now: func() time.Time { return start.Add(time.Since(start) - back) }})
		time.Sleep(30 * time.Second)
		back = 20 * time.Second
		if got := s.MaxAge(); got != 30*time.Second {
			t.Errorf("MaxAge() = %v after the clock was set back, want 30s", got)
		}
		back = time.Hour
		if got := s.MaxAge(); got != 0 {
			t.Errorf("MaxAge() = %v after the clock was set back by an hour, want none: nobody knows", got)
		}
	})
}

// A hint of next to nothing doesn't make Run spin.
func TestSignerTinyHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, _ := newService(t)
		svc.answer.RefreshHint = time.Nanosecond
		s := newSigner(t, external.SignerConfig{Service: svc})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Millisecond)
		defer cancel()
		s.Run(ctx)
		if svc.fetches != 61 {
			t.Errorf("fetched %d times in a minute, want once a second", svc.fetches-1)
		}
	})
}

// A key that the service signs with for the first time is fetched at once, however
// short ago keys were.
func TestSignerNewKey(t *testing.T) {
	svc, _ := newService(t)
	s := newSigner(t, external.SignerConfig{Service: svc})
	key, id := keystest.KeyAndID(t)
	svc.key, svc.id = key.(*ecdsa.PrivateKey), id
	svc.answer.Keys = append(svc.answer.Keys, external.Key{ID: id, PKIX: derOf(t, key.Public())})
	if _, err := s.Sign(t.Context(), []byte(`{"sub":"x"}`)); err != nil {
		t.Error(err)
	}
	svc.id, svc.err = "another", errors.New("down")
	if _, err := s.Sign(t.Context(), []byte(`{"sub":"x"}`)); !errors.Is(err, keys.ErrUnavailable) || !strings.HasSuffix(err.Error(), "down") {
		t.Errorf("Sign() with a key that can't be fetched = %v, want ErrUnavailable", err)
	}
}

// Of two who wait for the first keys, each learns what the one fetch has found.
func TestSignerFirstFetchIsShared(t *testing.T) {
	for _, down := range []error{nil, errors.New("down")} {
		synctest.Test(t, func(t *testing.T) {
			svc, _ := newService(t)
			svc.slow, svc.err = time.Second, down
			s := keystest.Must(external.NewSigner(external.SignerConfig{Service: svc}))
			var group sync.WaitGroup
			var known, unavailable atomic.Int32
			for range 2 {
				group.Go(func() {
					switch _, err := s.PublicKeys(t.Context(), "unknown"); {
					case err == nil:
						known.Add(1)
					case down == nil || strings.HasSuffix(err.Error(), "down"):
						unavailable.Add(1)
					}
				})
			}
			group.Wait()
			want := int32(1) // who began the fetch knows that there is no such key
			if down != nil {
				want = 0
			}
			if known.Load() != want || unavailable.Load() != 2-want || svc.fetches != 1 {
				t.Errorf("%v: %d know, %d don't, after %d fetches", down, known.Load(), unavailable.Load(), svc.fetches)
			}
		})
	}
}

// Run fetches the keys at once if nobody has; who asks for them waits no longer than he
// wants to; and an answer that is none is an error.
func TestSignerFirstKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, id := newService(t)
		svc.slow = 5 * time.Second
		var events []external.Event
		s := keystest.Must(external.NewSigner(external.SignerConfig{Service: svc, Observe: func(_ context.Context, e external.Event) { events = append(events, e) }}))
		if s.MaxAge() != 0 || s.Err() != nil {
			t.Errorf("MaxAge() = %v, Err() = %v, want nothing", s.MaxAge(), s.Err())
		}
		ctx, cancel := context.WithCancel(t.Context())
		go s.Run(ctx)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(events) != 1 || events[0].Took != 5*time.Second || !events[0].DataTimestamp.Equal(time.Unix(1, 0)) || events[0].Keys != 1 || !events[0].Changed {
			t.Errorf("Observe got %+v, want one fetch of 5s", events)
		}
		if err := s.WaitForKeys(t.Context()); err != nil || svc.fetches != 1 {
			t.Errorf("WaitForKeys() with keys = %v after %d fetches", err, svc.fetches)
		}
		cancel()
		synctest.Wait()
		short, cancelShort := context.WithTimeout(t.Context(), time.Second)
		defer cancelShort()
		fresh := keystest.Must(external.NewSigner(external.SignerConfig{Service: svc}))
		if _, err := fresh.PublicKeys(short, id); err != context.DeadlineExceeded {
			t.Errorf("PublicKeys() = %v, want the error of its own context", err)
		}
		time.Sleep(5 * time.Second)
		nothing := keystest.Must(external.NewSigner(external.SignerConfig{Service: noKeys{svc}}))
		if err := nothing.Refresh(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "found no keys") {
			t.Errorf("Refresh() of nothing = %v", err)
		}
		panics := keystest.Must(external.NewSigner(external.SignerConfig{Service: panicking{}, Observe: func(_ context.Context, e external.Event) { events = append(events, e) }}))
		_ = panics.Refresh(t.Context())
		if last := events[len(events)-1]; last.Panic != "secret" || len(last.Stack) == 0 || last.Err == nil {
			t.Errorf("Observe got %+v, want the panic", last)
		}
	})
}

// A noKeys service answers with nothing.
type noKeys struct{ *service }

func (noKeys) FetchKeys(context.Context) (*external.Keys, error) { return nil, nil }

// KEY-44
func TestSignerWaitForKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, id := newService(t)
		svc.err = errors.New("not yet")
		go func() {
			time.Sleep(35 * time.Second)
			svc.change(func() { svc.err = nil })
		}()
		start := time.Now()
		s := newSigner(t, external.SignerConfig{Service: svc})
		if took := time.Since(start); took != 40*time.Second {
			t.Errorf("took %v, want 40s", took)
		}
		keystest.WantKnown(t, s, id, true)

		svc.err = errors.New("down")
		start = time.Now()
		another := keystest.Must(external.NewSigner(external.SignerConfig{Service: svc}))
		err := another.WaitForKeys(t.Context())
		want := "while setting up external-jwt-signer: while initially filling key cache: "
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "down") || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v, want %q after a minute", err, time.Since(start), want)
		}
	})
	// The reason is that of the last attempt that had its time.
	for _, tt := range []struct {
		slow, patience, want time.Duration
		text                 string
	}{{8 * time.Second, time.Hour, time.Minute, ": down"}, {8 * time.Second, time.Second, time.Second, ": context deadline exceeded"}} {
		synctest.Test(t, func(t *testing.T) {
			svc, _ := newService(t)
			svc.err, svc.slow = errors.New("not yet"), tt.slow
			go func() {
				time.Sleep(10 * time.Second)
				svc.change(func() { svc.err = errors.New("down") })
			}()
			s := keystest.Must(external.NewSigner(external.SignerConfig{Service: svc}))
			ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
			defer cancel()
			start := time.Now()
			if err := s.WaitForKeys(ctx); err == nil || !strings.HasSuffix(err.Error(), tt.text) || time.Since(start) != tt.want {
				t.Errorf("WaitForKeys() = %v after %v, want %s after %v", err, time.Since(start), tt.text, tt.want)
			}
			time.Sleep(10 * time.Second)
		})
	}
	for _, none := range []external.Service{nil, (*service)(nil)} {
		_, err := external.NewSigner(external.SignerConfig{Service: none})
		if e, ok := errors.AsType[*external.ConfigError](err); !ok || e.Field != "Service" {
			t.Errorf("NewSigner() without a Service = %v, want a ConfigError", err)
		}
	}
}

// A panicking service panics in all calls but FetchKeys, and there if it has no
// keys.
type panicking struct{ keys *external.Keys }

func (panicking) Sign(context.Context, string) (string, string, error)    { panic("secret") }
func (panicking) MaxTokenLifetime(context.Context) (time.Duration, error) { panic("secret") }
func (p panicking) FetchKeys(context.Context) (*external.Keys, error) {
	if p.keys == nil {
		panic("secret")
	}
	return p.keys, nil
}

func TestSignerPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetching := keystest.Must(external.NewSigner(external.SignerConfig{Service: panicking{}})).Refresh(t.Context())
		svc, _ := newService(t)
		s := newSigner(t, external.SignerConfig{Service: panicking{&svc.answer}})
		_, signing := s.Sign(t.Context(), []byte(`{}`))
		_, _, asking := s.Lifetimes(t.Context(), 0, time.Hour)
		for _, err := range []error{fetching, signing, asking} {
			if err == nil || !strings.Contains(err.Error(), "panicked") || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want an error without the panic's value", err)
			}
		}
	})
}

// KEY-45
func TestSignerChanges(t *testing.T) {
	svc, _ := newService(t)
	second, secondID := keystest.KeyAndID(t)
	extra := external.Key{ID: secondID, PKIX: derOf(t, second.Public())}
	steps := []struct {
		name   string
		change func(a *external.Keys)
		want   int32
	}{
		{"nothing", func(*external.Keys) {}, 0},
		{"hint", func(a *external.Keys) { a.RefreshHint = time.Hour }, 0},
		{"timestamp", func(a *external.Keys) { a.DataTimestamp = time.Unix(2, 0) }, 1},
		{"count", func(a *external.Keys) { a.Keys = append(a.Keys, extra) }, 1},
		{"order", func(a *external.Keys) { slices.Reverse(a.Keys) }, 1},
		{"id", func(a *external.Keys) { a.Keys[0].ID = "other" }, 1},
		{"excluded", func(a *external.Keys) { a.Keys[0].ExcludeFromDiscovery = true }, 1},
		{"nothing again", func(*external.Keys) {}, 0},
	}
	synctest.Test(t, func(t *testing.T) {
		var changes atomic.Int32
		s := newSigner(t, external.SignerConfig{Service: svc, Observe: func(_ context.Context, e external.Event) {
			if e.Changed {
				changes.Add(1)
			}
		}})
		synctest.Wait()
		if n := changes.Swap(0); n != 1 {
			t.Errorf("told %d times of the first keys, want once", n)
		}
		for _, step := range steps {
			step.change(&svc.answer)
			if err := s.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := changes.Swap(0); n != step.want {
				t.Errorf("%s: told %d times, want %d", step.name, n, step.want)
			}
		}
	})
}

// KEY-47
func TestSignerLifetimes(t *testing.T) {
	const year = 365 * 24 * time.Hour
	tests := []struct {
		name                        string
		signer, server, extendedMax time.Duration
		err                         error
		token, extended             time.Duration
		want                        string
	}{
		{name: "server unset", signer: time.Hour, extendedMax: year, token: time.Hour, extended: time.Hour},
		{name: "server less", signer: 2 * time.Hour, server: time.Hour, extendedMax: year, token: time.Hour, extended: 2 * time.Hour},
		{name: "signer more than extended", signer: 2 * year, server: time.Hour, extendedMax: year, token: time.Hour, extended: year},
		{name: "equal", signer: time.Hour, server: time.Hour, extendedMax: year, token: time.Hour, extended: time.Hour},
		{name: "least", signer: 10 * time.Minute, extendedMax: year, token: 10 * time.Minute, extended: 10 * time.Minute},
		{name: "too little", signer: 599 * time.Second, want: "max token life supported by external-jwt-signer (599s) is less than acceptable (min 600s)"},
		{name: "server more", signer: time.Hour, server: 2 * time.Hour, want: "service-account-max-token-expiration cannot be set longer than the token expiration supported by service-account-signing-endpoint: 2h0m0s > 1h0m0s"},
		{name: "fails", err: errors.New("down"), want: "while setting up external-jwt-signer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc, _ := newService(t)
			svc.life, svc.lifeErr = tt.signer, tt.err
			s := newSigner(t, external.SignerConfig{Service: svc})
			token, extended, err := s.Lifetimes(t.Context(), tt.server, tt.extendedMax)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				return
			}
			if err != nil || token != tt.token || extended != tt.extended {
				t.Errorf("got %v, %v, %v, want %v, %v", token, extended, err, tt.token, tt.extended)
			}
		})
	}
}
