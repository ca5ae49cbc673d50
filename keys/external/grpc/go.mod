module github.com/kubesa/serviceaccount/keys/external/grpc

go 1.26.0

require (
	github.com/kubesa/serviceaccount v0.1.0
	golang.org/x/sys v0.49.0
	google.golang.org/grpc v1.82.1
	google.golang.org/protobuf v1.36.12-0.20260120151049-f2248ac996af
	k8s.io/externaljwt v0.37.2
)

require (
	github.com/stretchr/testify v1.12.1 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260526163538-3dc84a4a5aaa // indirect
	gopkg.in/square/go-jose.v2 v2.6.0 // indirect
)
