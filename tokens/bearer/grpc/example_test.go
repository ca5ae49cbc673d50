package bearergrpc_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/kubesa/serviceaccount/tokens/bearer"
	bearergrpc "github.com/kubesa/serviceaccount/tokens/bearer/grpc"
)

// Authenticate the calls of a server.
func ExampleNew() {
	interceptors, err := bearergrpc.New(bearergrpc.Config{
		Verifier:  &verifier{}, // a *tokens.Authenticator, for example
		Audiences: []string{"vault"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(interceptors.Unary), grpc.StreamInterceptor(interceptors.Stream))
	defer server.Stop()

	// What the server does with a call:
	call := func(token string) {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+token))
		answer, err := interceptors.Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/shop.Orders/List"}, func(ctx context.Context, _ any) (any, error) {
			return "hello " + bearer.IdentityFrom(ctx).Username(), nil
		})
		fmt.Println(answer, err)
	}
	call("good")
	call("stolen")

	// Output:
	// hello system:serviceaccount:ci:builder <nil>
	// <nil> rpc error: code = Unauthenticated desc = the bearer token is not valid here
}
