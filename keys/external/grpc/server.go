package externalgrpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/external"
)

// maxRequestBytes bounds what is read of one request.
const maxRequestBytes = 1 << 20

// connectLimit is how long a client may take to begin.
const connectLimit = 10 * time.Second

// stopLimit is how long calls that are under way may go on after the end of [Serve].
const stopLimit = 5 * time.Second

// NewServer returns the gRPC service ExternalJWTSigner that answers with service, such
// as an [external.Server], to be registered in a gRPC server. It is safe for concurrent
// use.
//
// Claims that can't be signed get InvalidArgument; no signing key FailedPrecondition;
// a context that is done its own code; a panic of service Internal; everything else
// Unavailable. The messages are those of service's errors.
//
// Whoever reaches it can have any token signed: serve it with [Serve], or on the
// listener of [Listen]. NewServer returns an error naming every argument that is missing,
// each as a [*ConfigError].
func NewServer(service external.Service) (externaljwtv1.ExternalJWTSignerServer, error) {
	list := configerror.List{Config: "externalgrpc.NewServer"}
	list.Require("service", service, "an external.Service")
	if err := list.Err(); err != nil {
		return nil, err
	}
	return &server{service: service}, nil
}

// A ConfigError is a mistake in the arguments of [NewServer] or [Serve]. It has the
// fields Config, Field and Problem. Only other arguments help.
type ConfigError = configerror.Error

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

// Serve serves service on endpoint, as [Listen] does, until ctx is done; calls that are
// under way then have five seconds to end, and it returns nil. Any other error says what
// is wrong with endpoint or is a [*ConfigError].
//
// This user, root and the users with these ids can have tokens signed.
func Serve(ctx context.Context, endpoint string, service external.Service, users ...int) error {
	answers, err := NewServer(service)
	if err := errors.Join(checkEndpoint(endpoint), err); err != nil {
		return err
	}
	listener, err := Listen(ctx, endpoint, users...)
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(maxRequestBytes), grpc.MaxHeaderListSize(maxHeaderBytes), grpc.ConnectionTimeout(connectLimit))
	externaljwtv1.RegisterExternalJWTSignerServer(s, answers)
	return serve(ctx, s, listener)
}

// serve serves s on listener until ctx is done, and returns nil, or until listener
// fails. Then no connection is left.
func serve(ctx context.Context, s *grpc.Server, listener net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listener) }() // which waits for GracefulStop
	select {
	case err := <-ended:
		s.Stop()
		return fmt.Errorf("externalgrpc: endpoint %q: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	go s.GracefulStop()
	select {
	case <-ended:
	case <-time.After(stopLimit):
		go s.Stop() // which may wait for a service that ignores its context
	}
	return nil
}
