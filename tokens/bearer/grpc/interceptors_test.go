package bearergrpc_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
	bearergrpc "github.com/kubesa/serviceaccount/tokens/bearer/grpc"
)

var builder = &tokens.Identity{Namespace: "ci", Name: "builder"}

// A verifier accepts the token "good" for the audience "vault".
type verifier struct{ err error }

func (v *verifier) Authenticate(_ context.Context, token string, audiences ...string) (*tokens.Identity, error) {
	switch {
	case token == "panic":
		panic("hunter2")
	case v.err != nil:
		return nil, v.err
	case token != "good" || len(audiences) != 1 || audiences[0] != "vault":
		return nil, &tokens.NotRecognizedError{Reason: tokens.ReasonMalformed}
	}
	return builder, nil
}

// health answers with who calls.
type health struct {
	healthpb.UnimplementedHealthServer
	t *testing.T
}

func (h *health) check(ctx context.Context) *healthpb.HealthCheckResponse {
	md, _ := metadata.FromIncomingContext(ctx)
	if got := md.Get("authorization"); len(got) > 0 {
		h.t.Errorf("the handler gets authorization %q", got)
	}
	if got := md.Get("other"); len(got) != 1 {
		h.t.Errorf("the handler gets the other metadata %q", got)
	}
	if bearer.IdentityFrom(ctx) == builder {
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}
}

func (h *health) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return h.check(ctx), nil
}

func (h *health) Watch(_ *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	return stream.Send(h.check(stream.Context()))
}

// dial returns a client of a server with cfg.
func dial(t *testing.T, cfg bearergrpc.Config) healthpb.HealthClient {
	t.Helper()
	interceptors, err := bearergrpc.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(interceptors.Unary), grpc.StreamInterceptor(interceptors.Stream))
	healthpb.RegisterHealthServer(server, &health{t: t})
	listener := bufconn.Listen(1 << 16)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///test", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return healthpb.NewHealthClient(conn)
}

func TestInterceptors(t *testing.T) {
	down := &tokens.UnavailableError{Subject: "Pod", Err: errors.New("secret detail")}
	for _, tt := range []struct {
		name   string
		header []string
		mutate func(*bearergrpc.Config, *verifier)
		code   codes.Code
		public bool
	}{
		{name: "accepted", header: []string{"Bearer good"}},
		{name: "no token", code: codes.Unauthenticated},
		{name: "two tokens", header: []string{"Bearer good", "Bearer good"}, code: codes.Unauthenticated},
		{name: "a bad token", header: []string{"Bearer bad"}, code: codes.Unauthenticated},
		{name: "rejected", header: []string{"Bearer good"}, mutate: func(_ *bearergrpc.Config, v *verifier) { v.err = &tokens.InvalidError{Reason: tokens.ReasonExpired} }, code: codes.Unauthenticated},
		{name: "another audience", header: []string{"Bearer good"}, mutate: func(c *bearergrpc.Config, _ *verifier) { c.Audiences = []string{"other"} }, code: codes.Unauthenticated},
		{name: "unavailable", header: []string{"Bearer good"}, mutate: func(_ *bearergrpc.Config, v *verifier) { v.err = down }, code: codes.Unavailable},
		{name: "panic", header: []string{"Bearer panic"}, code: codes.Unavailable},
		{name: "denied", header: []string{"Bearer good"}, mutate: func(c *bearergrpc.Config, _ *verifier) {
			c.Authorize = func(context.Context, string, *tokens.Identity) error { return errors.New("secret detail") }
		}, code: codes.PermissionDenied},
		{name: "against the Policy", header: []string{"Bearer good"}, mutate: func(c *bearergrpc.Config, _ *verifier) { c.Policy.Namespaces = []string{"other"} }, code: codes.PermissionDenied},
		{name: "allowed", header: []string{"Bearer good"}, mutate: func(c *bearergrpc.Config, _ *verifier) {
			c.Authorize = func(_ context.Context, method string, id *tokens.Identity) error {
				if !strings.HasPrefix(method, "/grpc.health.v1.Health/") || id != builder {
					return errors.New("no")
				}
				return nil
			}
		}},
		{name: "public", header: []string{"Bearer good"}, mutate: func(c *bearergrpc.Config, _ *verifier) {
			c.Public = func(method string) bool { return strings.HasPrefix(method, "/grpc.health.v1.Health/") }
		}, public: true},
		{name: "others are public", mutate: func(c *bearergrpc.Config, _ *verifier) {
			c.Public = func(string) bool { return false }
		}, code: codes.Unauthenticated},
		{name: "panic of Public", header: []string{"Bearer good"}, mutate: func(c *bearergrpc.Config, _ *verifier) {
			c.Public = func(string) bool { panic("hunter2") }
		}, code: codes.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &verifier{}
			var events []bearergrpc.Event
			cfg := bearergrpc.Config{Verifier: v, Audiences: []string{"vault"}, Observe: func(_ context.Context, e bearergrpc.Event) { events = append(events, e) }}
			if tt.mutate != nil {
				tt.mutate(&cfg, v)
			}
			client := dial(t, cfg)
			ctx := metadata.AppendToOutgoingContext(t.Context(), "other", "x")
			for _, value := range tt.header {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", value)
			}
			check := func(kind string, response *healthpb.HealthCheckResponse, err error) {
				t.Helper()
				if got := status.Code(err); got != tt.code || err != nil && (strings.Contains(err.Error(), "detail") || strings.Contains(err.Error(), "hunter2")) {
					t.Errorf("%s: %v, want %v and no details", kind, err, tt.code)
				}
				want := healthpb.HealthCheckResponse_SERVING
				if tt.public {
					want = healthpb.HealthCheckResponse_NOT_SERVING // nobody was authenticated
				}
				if err == nil && response.Status != want {
					t.Errorf("%s: the handler saw the wrong caller: %v", kind, response)
				}
			}
			response, err := client.Check(ctx, &healthpb.HealthCheckRequest{})
			check("unary", response, err)
			stream, err := client.Watch(ctx, &healthpb.HealthCheckRequest{})
			if err == nil {
				response, err = stream.Recv()
			}
			check("stream", response, err)
			if want := 2; tt.public && len(events) != 0 || !tt.public && len(events) != want {
				t.Fatalf("Observe was called %d times", len(events))
			}
			for _, e := range events {
				if e.Code != tt.code || (e.Err == nil) != (tt.code == codes.OK) || (e.Panic != nil) != strings.HasPrefix(tt.name, "panic") || e.Took <= 0 || !strings.HasPrefix(e.Method, "/grpc.health.v1.Health/") {
					t.Errorf("Observe got %+v", e)
				}
			}
		})
	}
}

func TestNew(t *testing.T) {
	_, err := bearergrpc.New(bearergrpc.Config{Verifier: (*verifier)(nil), Audiences: []string{""}})
	const want = "bearergrpc: Config.Verifier is required, want a tokens.Verifier\nbearergrpc: Config.Audiences has an empty one, want audiences of this service"
	if _, ok := errors.AsType[*bearergrpc.ConfigError](err); !ok || err.Error() != want {
		t.Errorf("New() =\n%v\nwant\n%s", err, want)
	}
}
