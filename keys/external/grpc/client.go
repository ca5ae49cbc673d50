package externalgrpc

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
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
func Dial(endpoint string) (*Client, error) {
	target, err := target(endpoint)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // a Unix socket
		grpc.WithAuthority("localhost"),
		grpc.WithMaxHeaderListSize(maxHeaderBytes),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswerBytes)),
	)
	if err != nil {
		return nil, fmt.Errorf("externalgrpc: endpoint %q: %w", endpoint, err)
	}
	return &Client{conn, externaljwtv1.NewExternalJWTSignerClient(conn)}, nil
}

// target returns the name that gRPC has for endpoint.
func target(endpoint string) (string, error) {
	name, abstract := strings.CutPrefix(endpoint, "@")
	switch {
	case endpoint == "":
		return "", errors.New("externalgrpc: no endpoint, want the path of a Unix socket")
	case abstract && !abstractName.MatchString(endpoint):
		return "", fmt.Errorf("externalgrpc: endpoint %q: want @ and a name of letters, digits, _ and -, with dots between them", endpoint)
	case abstract:
		return "unix-abstract:" + name, nil
	}
	return "unix:" + endpoint, nil
}

// Close closes the connection; calls that are under way fail.
func (c *Client) Close() error { return c.conn.Close() }

// Sign implements [external.Service]. Errors are those of gRPC.
func (c *Client) Sign(ctx context.Context, claims string) (header, signature string, err error) {
	answer, err := c.signer.Sign(ctx, &externaljwtv1.SignJWTRequest{Claims: claims})
	if err != nil {
		return "", "", err
	}
	return answer.GetHeader(), answer.GetSignature(), nil
}

// FetchKeys implements [external.Service]. Errors are those of gRPC, or that of a
// timestamp that is missing or invalid. A nil key becomes one without an id, which the
// caller rejects.
func (c *Client) FetchKeys(ctx context.Context) (*external.Keys, error) {
	answer, err := c.signer.FetchKeys(ctx, &externaljwtv1.FetchKeysRequest{})
	if err != nil {
		return nil, err
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
		return 0, err
	}
	return seconds(answer.GetMaxTokenExpirationSeconds()), nil
}

// seconds returns n seconds, or the longest time that there is.
func seconds(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Second)
	return time.Duration(max(-most, min(most, n))) * time.Second
}
