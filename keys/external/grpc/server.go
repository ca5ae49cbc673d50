package externalgrpc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/external"
)

// maxRequestBytes bounds what is read of one request.
const maxRequestBytes = 1 << 20

// stopLimit is how long calls that are under way may go on after the end of [Serve].
const stopLimit = 5 * time.Second

// NewServer returns the gRPC service ExternalJWTSigner that answers with service, such
// as an [external.Server], to be registered in a gRPC server. It is safe for concurrent
// use.
//
// Claims that can't be signed get InvalidArgument; no signing key FailedPrecondition;
// a context that is done its own code; a panic of service Internal; everything else
// Unavailable. The messages are those of service's errors.
func NewServer(service external.Service) externaljwtv1.ExternalJWTSignerServer {
	return &server{service: service}
}

type server struct {
	externaljwtv1.UnimplementedExternalJWTSignerServer
	service external.Service
}

func (s *server) Sign(ctx context.Context, r *externaljwtv1.SignJWTRequest) (*externaljwtv1.SignJWTResponse, error) {
	return answer(func() (*externaljwtv1.SignJWTResponse, error) {
		header, signature, err := s.service.Sign(ctx, r.GetClaims())
		if err != nil {
			return nil, err
		}
		return &externaljwtv1.SignJWTResponse{Header: header, Signature: signature}, nil
	})
}

func (s *server) FetchKeys(ctx context.Context, _ *externaljwtv1.FetchKeysRequest) (*externaljwtv1.FetchKeysResponse, error) {
	return answer(func() (*externaljwtv1.FetchKeysResponse, error) {
		fetched, err := s.service.FetchKeys(ctx)
		if err != nil {
			return nil, err
		}
		response := &externaljwtv1.FetchKeysResponse{
			DataTimestamp:      timestamppb.New(fetched.DataTimestamp),
			RefreshHintSeconds: int64(fetched.RefreshHint / time.Second),
		}
		for _, key := range fetched.Keys {
			response.Keys = append(response.Keys, &externaljwtv1.Key{KeyId: key.ID, Key: key.PKIX, ExcludeFromOidcDiscovery: key.ExcludeFromDiscovery})
		}
		return response, nil
	})
}

func (s *server) Metadata(ctx context.Context, _ *externaljwtv1.MetadataRequest) (*externaljwtv1.MetadataResponse, error) {
	return answer(func() (*externaljwtv1.MetadataResponse, error) {
		lifetime, err := s.service.MaxTokenLifetime(ctx)
		if err != nil {
			return nil, err
		}
		return &externaljwtv1.MetadataResponse{MaxTokenExpirationSeconds: int64(lifetime / time.Second)}, nil
	})
}

// answer calls the service. gRPC lets the process die of a panic.
func answer[V any](call func() (*V, error)) (*V, error) {
	response, err := flight.Catch("externalgrpc: the service", call)
	if err != nil {
		return nil, withCode(err)
	}
	return response, nil
}

// withCode gives err its gRPC code.
func withCode(err error) error {
	_, panicked := errors.AsType[*flight.PanicError](err)
	code := codes.Unavailable
	switch {
	case panicked:
		code = codes.Internal
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		code = status.FromContextError(err).Code()
	case errors.Is(err, external.ErrBadClaims):
		code = codes.InvalidArgument
	case errors.Is(err, keys.ErrNoSigningKey):
		code = codes.FailedPrecondition
	case status.Code(err) != codes.Unknown:
		return err
	}
	return status.Error(code, err.Error())
}

// Serve serves service on endpoint, which is as for [Dial], until ctx is done; calls
// that are under way then have five seconds to end, and it returns nil. Any other error
// says what is wrong with endpoint or service. Only this user can use the socket. A
// socket that a killed process has left is replaced; one that is being served is an
// error.
func Serve(ctx context.Context, endpoint string, service external.Service) error {
	if _, err := target(endpoint); err != nil {
		return err
	}
	if service == nil {
		return errors.New("externalgrpc: no service, want an external.Service")
	}
	listener, err := listen(ctx, endpoint)
	if err != nil {
		return fmt.Errorf("externalgrpc: endpoint %q: %w", endpoint, err)
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(maxRequestBytes))
	externaljwtv1.RegisterExternalJWTSignerServer(s, NewServer(service))
	stopped := make(chan struct{})
	release := context.AfterFunc(ctx, func() {
		defer close(stopped)
		hard := time.AfterFunc(stopLimit, s.Stop)
		defer hard.Stop()
		s.GracefulStop()
	})
	err = s.Serve(listener)
	if !release() {
		<-stopped
		return nil
	}
	return fmt.Errorf("externalgrpc: endpoint %q: %w", endpoint, err)
}

func listen(ctx context.Context, endpoint string) (net.Listener, error) {
	var config net.ListenConfig
	if strings.HasPrefix(endpoint, "@") {
		return config.Listen(ctx, "unix", endpoint)
	}
	// The socket is renamed, which knows no limit; nobody could reach it.
	if most := len(syscall.RawSockaddrUnix{}.Path) - 1; len(endpoint) > most {
		return nil, fmt.Errorf("a path of %d bytes, want at most %d", len(endpoint), most)
	}
	if info, err := os.Lstat(endpoint); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, errors.New("there is a file that is no socket")
		}
		if conn, err := new(net.Dialer).DialContext(ctx, "unix", endpoint); err == nil {
			conn.Close()
			return nil, errors.New("another process serves it")
		}
		if err := os.Remove(endpoint); err != nil {
			return nil, err
		}
	}
	// It gets its mode in a folder that nobody else may enter, whatever the umask is,
	// and appears under its name after that. A fixed name would collide with what a
	// process that was killed has left.
	private, err := os.MkdirTemp(filepath.Dir(endpoint), ".")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	partial := filepath.Join(private, "s")
	listener, err := config.Listen(ctx, "unix", partial)
	if err != nil {
		return nil, err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	err = os.Chmod(partial, 0o600)
	if err == nil {
		err = os.Rename(partial, endpoint)
	}
	if err != nil {
		listener.Close()
		return nil, err
	}
	return &unlinking{listener, endpoint}, nil
}

// An unlinking listener removes its socket when it is closed.
type unlinking struct {
	net.Listener
	name string
}

func (l *unlinking) Close() error {
	return errors.Join(l.Listener.Close(), os.Remove(l.name))
}
