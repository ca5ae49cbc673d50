package externalgrpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/kubesa/serviceaccount/keys/external"
)

// Limits of what is read of one answer: 64 keys of the largest size with ids of 1 kB
// take 192 KiB. Millions of empty keys would take fifty times their size in memory.
const (
	maxAnswerBytes = 256 << 10
	maxHeaderBytes = 64 << 10 // the text of an error is in one
)

// abstractName is what may follow "@" (KEY-57).
var abstractName = regexp.MustCompile(`^@([a-zA-Z0-9_-]+\.)*[a-zA-Z0-9_-]+$`)

// A Client is an [external.Service] in another process. It is safe for concurrent
// use.
type Client struct {
	conn   *grpc.ClientConn
	signer externaljwtv1.ExternalJWTSignerClient
}

var _ external.Service = (*Client)(nil)

// Dial returns a Client of the process that listens on endpoint: the path of a Unix
// socket, or "@" and the name of an abstract one, as for Kubernetes' flag
// --service-account-signing-endpoint. It doesn't connect. The error says what is wrong
// with endpoint.
//
// Who answers decides which tokens are valid, so the process must run as this user, as
// root, or as one of the users with these ids: the kernel says whose each connection is.
// Calls to another one fail. Where the kernel doesn't say so, which is anywhere but on
// Linux, macOS and FreeBSD, Dial fails.
func Dial(endpoint string, users ...int) (*Client, error) {
	if err := checkEndpoint(endpoint); err != nil {
		return nil, err
	}
	peers, err := newPeers(users)
	if err == nil && strings.HasPrefix(endpoint, "@") {
		err = peers.checkAbstract()
	}
	if err != nil {
		return nil, fmt.Errorf("externalgrpc: endpoint %q: %w", endpoint, err)
	}
	conn, err := grpc.NewClient("passthrough:///external-signer", // of which the dialer makes nothing
		grpc.WithTransportCredentials(insecure.NewCredentials()), // a Unix socket
		grpc.WithAuthority("localhost"),
		grpc.WithMaxHeaderListSize(maxHeaderBytes),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswerBytes)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return peers.connect(ctx, endpoint) }),
	)
	if err != nil {
		return nil, fmt.Errorf("externalgrpc: endpoint %q: %w", endpoint, err)
	}
	return &Client{conn, externaljwtv1.NewExternalJWTSignerClient(conn)}, nil
}

// checkEndpoint returns what is wrong with the text of an endpoint.
func checkEndpoint(endpoint string) error {
	// One byte of a path ends it; of an abstract name, the first stands for "@".
	most := len(syscall.RawSockaddrUnix{}.Path) - 1
	switch {
	case endpoint == "":
		return errors.New("externalgrpc: no endpoint, want the path of a Unix socket")
	case strings.HasPrefix(endpoint, "@") && !abstractName.MatchString(endpoint):
		return fmt.Errorf("externalgrpc: endpoint %q: want @ and a name of letters, digits, _ and -, with dots between them", endpoint)
	case strings.ContainsRune(endpoint, 0): // which ends a path, or as the first byte makes a name abstract
		return fmt.Errorf("externalgrpc: endpoint %q: want a path without a zero byte", endpoint)
	case strings.HasPrefix(endpoint, "unix:") || strings.Contains(endpoint, "://"):
		return fmt.Errorf("externalgrpc: endpoint %q: want the path of a Unix socket, not a URL", endpoint)
	case len(endpoint) > most:
		return fmt.Errorf("externalgrpc: endpoint of %d bytes, want at most %d", len(endpoint), most)
	}
	return nil
}

// Close closes the connection; calls that are under way fail.
func (c *Client) Close() error { return c.conn.Close() }

// Sign implements [external.Service]. Errors are those of gRPC.
func (c *Client) Sign(ctx context.Context, claims string) (header, signature string, err error) {
	answer, err := c.signer.Sign(ctx, &externaljwtv1.SignJWTRequest{Claims: claims})
	if err != nil {
		return "", "", codedError{err}
	}
	return answer.GetHeader(), answer.GetSignature(), nil
}

// FetchKeys implements [external.Service]. Errors are those of gRPC, or that of a
// timestamp that is missing or invalid. A nil key becomes one without an id, which the
// caller rejects.
func (c *Client) FetchKeys(ctx context.Context) (*external.Keys, error) {
	answer, err := c.signer.FetchKeys(ctx, &externaljwtv1.FetchKeysRequest{})
	if err != nil {
		return nil, codedError{err}
	}
	fetched := &external.Keys{RefreshHint: seconds(answer.GetRefreshHintSeconds())}
	// Kubernetes looks at hint and keys first (KEY-42), as the caller does.
	stamp := answer.GetDataTimestamp()
	if err := stamp.CheckValid(); err != nil && fetched.RefreshHint > 0 && len(answer.GetKeys()) > 0 {
		return nil, fmt.Errorf("invalid data timestamp: %w", err)
	}
	fetched.DataTimestamp = stamp.AsTime()
	for _, key := range answer.GetKeys() {
		fetched.Keys = append(fetched.Keys, external.Key{
			ID: key.GetKeyId(), PKIX: key.GetKey(), ExcludeFromDiscovery: key.GetExcludeFromOidcDiscovery(),
		})
	}
	return fetched, nil
}

// MaxTokenLifetime implements [external.Service]. Errors are those of gRPC.
func (c *Client) MaxTokenLifetime(ctx context.Context) (time.Duration, error) {
	answer, err := c.signer.Metadata(ctx, &externaljwtv1.MetadataRequest{})
	if err != nil {
		return 0, codedError{err}
	}
	return seconds(answer.GetMaxTokenExpirationSeconds()), nil
}

// A codedError is an error of gRPC that says its code without it.
type codedError struct{ error }

// Code returns the name of the gRPC code, for [external.Event].
func (e codedError) Code() string { return status.Code(e.error).String() }

// Unwrap returns the error of gRPC.
func (e codedError) Unwrap() error { return e.error }

// seconds returns n seconds, or the longest time that there is.
func seconds(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Second)
	return time.Duration(max(-most, min(most, n))) * time.Second
}
