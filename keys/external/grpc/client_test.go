package externalgrpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/external"
	externalgrpc "github.com/kubesa/serviceaccount/keys/external/grpc"
)

// A server is another process that holds a key.
type server struct {
	externaljwtv1.UnimplementedExternalJWTSignerServer
	key    *ecdsa.PrivateKey
	answer *externaljwtv1.FetchKeysResponse
	life   int64
	err    error
}

func (s *server) Sign(_ context.Context, r *externaljwtv1.SignJWTRequest) (*externaljwtv1.SignJWTResponse, error) {
	if s.err != nil {
		return nil, s.err
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"k1","typ":"JWT"}`))
	digest := sha256.Sum256([]byte(header + "." + r.GetClaims()))
	a, b, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		return nil, err
	}
	var raw [64]byte
	a.FillBytes(raw[:32])
	b.FillBytes(raw[32:])
	return &externaljwtv1.SignJWTResponse{Header: header, Signature: base64.RawURLEncoding.EncodeToString(raw[:])}, nil
}

func (s *server) FetchKeys(context.Context, *externaljwtv1.FetchKeysRequest) (*externaljwtv1.FetchKeysResponse, error) {
	return s.answer, s.err
}

func (s *server) Metadata(context.Context, *externaljwtv1.MetadataRequest) (*externaljwtv1.MetadataResponse, error) {
	return &externaljwtv1.MetadataResponse{MaxTokenExpirationSeconds: s.life}, s.err
}

// start serves s on a socket until the test ends, and returns a client of it.
func start(t *testing.T) (*server, *externalgrpc.Client) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	s := &server{key: key, life: 3600, answer: &externaljwtv1.FetchKeysResponse{
		Keys:          []*externaljwtv1.Key{{KeyId: "k1", Key: der}},
		DataTimestamp: timestamppb.New(time.Unix(1, 0)), RefreshHintSeconds: 60,
	}}
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	externaljwtv1.RegisterExternalJWTSignerServer(g, s)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	client, err := externalgrpc.Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, client
}

// KEY-40, KEY-42, KEY-47
func TestClient(t *testing.T) {
	_, client := start(t)
	signer, err := external.NewSigner(external.SignerConfig{Service: client})
	if err == nil {
		err = signer.WaitForKeys(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.SelfTest(t.Context(), signer, signer); err != nil {
		t.Error(err)
	}
	if age := signer.MaxAge(); age <= 0 || age > time.Minute {
		t.Errorf("MaxAge is %v, want the hint of a minute", age)
	}
	token, extended, err := signer.Lifetimes(t.Context(), 0, 24*time.Hour)
	if err != nil || token != time.Hour || extended != time.Hour {
		t.Errorf("got %v, %v, %v, want an hour each", token, extended, err)
	}
}

func TestClientFailures(t *testing.T) {
	s, client := start(t)
	signer, err := external.NewSigner(external.SignerConfig{Service: client})
	if err == nil {
		err = signer.WaitForKeys(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	s.err = status.Error(codes.Unavailable, "the HSM is locked")
	if _, err := signer.Sign(t.Context(), []byte(`{}`)); status.Code(errors.Unwrap(err)) != codes.Unavailable || !strings.Contains(err.Error(), "while signing jwt") {
		t.Errorf("got %v, want the status of the server", err)
	}
	if _, _, err := signer.Lifetimes(t.Context(), 0, time.Hour); err == nil || !strings.Contains(err.Error(), "the HSM is locked") {
		t.Errorf("got %v, want the error of the server", err)
	}
	s.err = nil
	for name, answer := range map[string]*externaljwtv1.FetchKeysResponse{
		"found no keys":               {RefreshHintSeconds: 1},
		"found invalid refresh hint":  {Keys: s.answer.Keys, DataTimestamp: s.answer.DataTimestamp, RefreshHintSeconds: -1},
		"invalid refresh hint":        {Keys: s.answer.Keys},
		"invalid data timestamp":      {Keys: s.answer.Keys, RefreshHintSeconds: 1 << 62},
		"found invalid public key id": {Keys: []*externaljwtv1.Key{{}}, DataTimestamp: s.answer.DataTimestamp, RefreshHintSeconds: 1},
	} {
		s.answer = answer
		if err := signer.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %s", err, name)
		}
	}
	if list, err := signer.PublicKeys(t.Context(), "k1"); err != nil || len(list) != 1 {
		t.Errorf("got %d keys and %v, want the last good one", len(list), err)
	}
}

// KEY-42: Kubernetes' own mock sends the year 1, the zero time of Go. An answer of
// more bytes than 64 keys take isn't read.
func TestClientFetchKeys(t *testing.T) {
	s, client := start(t)
	for name, stamp := range map[string]*timestamppb.Timestamp{
		"year 1": timestamppb.New(time.Time{}), "1970": {}, "now": timestamppb.Now(), "year 9999": timestamppb.New(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)),
	} {
		s.answer.DataTimestamp = stamp
		if fetched, err := client.FetchKeys(t.Context()); err != nil || !fetched.DataTimestamp.Equal(stamp.AsTime()) {
			t.Errorf("%s: FetchKeys() = %+v, %v, want the timestamp", name, fetched, err)
		}
	}
	for name, stamp := range map[string]*timestamppb.Timestamp{"none": nil, "year 0": {Seconds: -62135596801}, "nanoseconds": {Nanos: -1}} {
		s.answer.DataTimestamp = stamp
		if fetched, err := client.FetchKeys(t.Context()); err == nil || !strings.Contains(err.Error(), "invalid data timestamp") {
			t.Errorf("%s: FetchKeys() = %+v, %v, want an error", name, fetched, err)
		}
	}
	s.answer.DataTimestamp = timestamppb.Now()
	s.answer.Keys = slices.Repeat([]*externaljwtv1.Key{{}}, 1<<20)
	if _, err := client.FetchKeys(t.Context()); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("FetchKeys() of a million keys = %v, want ResourceExhausted", err)
	}
	s.answer.Keys, s.err = nil, status.Error(codes.Unavailable, strings.Repeat("x", 1<<20))
	if _, err := client.FetchKeys(t.Context()); err == nil || len(err.Error()) > 1<<10 {
		t.Errorf("FetchKeys() with an error of 1 MiB = %d bytes, want a short one", len(err.Error()))
	}
}

// KEY-42: what the other process says is what Go has for it, as far as it goes.
func TestClientValues(t *testing.T) {
	s, client := start(t)
	const most = math.MaxInt64 / int64(time.Second)
	for seconds, want := range map[int64]time.Duration{
		0: 0, 1: time.Second, most: time.Duration(most) * time.Second, most + 1: time.Duration(most) * time.Second, math.MaxInt64: time.Duration(most) * time.Second,
		-1: -time.Second, -most: time.Duration(-most) * time.Second, -most - 1: time.Duration(-most) * time.Second, math.MinInt64: time.Duration(-most) * time.Second,
	} {
		s.life = seconds
		if got, err := client.MaxTokenLifetime(t.Context()); err != nil || got != want {
			t.Errorf("%d seconds: MaxTokenLifetime() = %v, %v, want %v", seconds, got, err, want)
		}
	}
	s.answer.Keys = append(s.answer.Keys, &externaljwtv1.Key{KeyId: "k2", ExcludeFromOidcDiscovery: true})
	if fetched, err := client.FetchKeys(t.Context()); err != nil || len(fetched.Keys) != 2 || fetched.Keys[0].ExcludeFromDiscovery || !fetched.Keys[1].ExcludeFromDiscovery {
		t.Errorf("FetchKeys() = %+v, %v, want the second key excluded from discovery", fetched, err)
	}
}

// A closed client says so, and one whose endpoint nobody serves says that.
func TestClientWithoutAServer(t *testing.T) {
	client, err := externalgrpc.Dial(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.FetchKeys(t.Context()); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("FetchKeys() = %v, want Unavailable: no such file", err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if err := client.Close(); err == nil {
		t.Error("a second Close() = nil, want an error")
	}
}

// longPath is as long as the path of a socket can be.
var longPath = "/" + strings.Repeat("s", len(syscall.RawSockaddrUnix{}.Path)-2)

// KEY-57; and a zero byte, which the kernel would take for the end of a path or for the
// beginning of an abstract name.
func TestDialRefuses(t *testing.T) {
	for _, endpoint := range []string{"", "@", "@.", "@a..b", "@a b", "@a/b", "@a.", "@a\x00", "@a\n", "\x00signer", "/run/signer.sock\x00", "signer\x00sock", "unix:///run/signer.sock", "unix:signer.sock", "tcp://localhost:1", longPath + "s"} {
		if client, err := externalgrpc.Dial(endpoint); err == nil || client != nil {
			t.Errorf("Dial(%q) was accepted", endpoint)
		}
		if listener, err := externalgrpc.Listen(t.Context(), endpoint); err == nil || listener != nil || !strings.Contains(err.Error(), "externalgrpc: ") {
			t.Errorf("Listen(%q) = %v, want an error", endpoint, err)
		}
		if err := externalgrpc.Serve(t.Context(), endpoint, nil); err == nil || !strings.Contains(err.Error(), "endpoint") {
			t.Errorf("Serve(%q) = %v, want an error about the endpoint", endpoint, err)
		}
	}
	for _, endpoint := range []string{"/run/signer.sock", "signer.sock", longPath, "@signer", "@a.b-c_d"} {
		client, err := externalgrpc.Dial(endpoint)
		if err != nil {
			t.Errorf("%q: %v", endpoint, err)
			continue
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}
