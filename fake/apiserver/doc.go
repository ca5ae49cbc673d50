// Package apiserver serves a fake cluster over HTTP as an API server does, so that
// kubectl, client-go and programs in other languages can use it in tests. It is a
// module of its own.
//
//	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
//	handler, err := apiserver.New(authority, apiserver.Config{})
//	server := httptest.NewServer(handler)
//	out, err := exec.Command("kubectl", "--server="+server.URL, "get", "secrets").Output()
//
// # Concepts
//
// A [Handler] serves create, get, list, watch, update, patch, server-side apply,
// delete and deletecollection of the seven kinds of a [fake.Cluster] with their
// subresources, TokenRequests, TokenReviews, SelfSubjectReviews, the discovery
// documents of the API and of the issuer, tables for kubectl and partial
// metadata. Events are an empty list. Bodies are JSON or protobuf of at most
// 3 MiB, answers are JSON. Every write keeps metadata.managedFields. Unknown fields and fields that occur twice are rejected,
// warned of or ignored as fieldValidation asks; clients that don't ask are warned.
// Warnings are Warning headers, also those of TokenRequests and of deprecated
// annotations; [Warn] adds one.
//
// The controllers of [Config] work after each write and before its answer, so a
// token Secret that is created is filled when it is read. [Config.AdmitPod] calls
// admission plugins.
//
// Watches stay open until their client goes, their timeoutSeconds have passed,
// or [fake.Cluster.DropWatches] is called: call it before a server is shut down.
//
// # Failure
//
// Every error is a Status with the code and reason of Kubernetes; a panic of a
// hook, a fault or a controller is a 500. The calls appear in
// [fake.Cluster.Actions] and meet the faults of [fake.Cluster.Inject]; what the handler
// refuses before it calls the Cluster, such as a body that can't be read, appears in
// [Config].Observe only.
//
// What a header or a parameter asks for and this server doesn't do is an error and
// never ignored: impersonation (403), websockets and shards (400), other forms of
// bodies and answers (415, 406). A request that takes longer
// than its timeout parameter, at most a minute, ends with 504; a client that doesn't take
// an answer or an event within a minute is cut off.
//
// A write succeeds even if controllers don't settle after it: the response then has a
// Warning header, which kubectl prints.
//
// # Security
//
// A request with a bearer token gets 401 unless the Authenticator of the Authority
// accepts the token; its calls have the account as [fault.Op.Actor]. A request
// without an Authorization header is anonymous, and allowed: there is no
// authorization, so serve it on the loopback interface only.
//
// kubectl, and every client that reads a kubeconfig, sends a token over https only:
// over http --token is ignored and the request is anonymous. To test with tokens,
// serve https, as httptest.NewTLSServer does, and name the certificate with
// --certificate-authority.
//
// # Compatibility
//
// The model is Kubernetes v1.37, with the limits that the comment of package fake
// lists.
package apiserver
