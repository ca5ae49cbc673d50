package discovery_test

import (
	"context"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// Serve the discovery documents, so that others can verify tokens.
func ExampleNewPublisher() {
	list, err := keys.ParsePublicKeys([]byte(keystest.UpstreamEC))
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := keys.NewSet(list...)
	if err != nil {
		fmt.Println(err)
		return
	}
	publisher, err := discovery.NewPublisher(discovery.PublisherConfig{
		Issuer:          "https://kubernetes.default.svc",
		ExternalAddress: "192.0.2.1:6443",
		Keys:            set,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	publisher.ServeHTTP(w, httptest.NewRequest("GET", discovery.ConfigPath, nil))
	fmt.Println(w.Header().Get("Content-Type"), "|", w.Header().Get("Cache-Control"))
	fmt.Println(w.Body)

	// Output:
	// application/json | public, max-age=3600
	// {"issuer":"https://kubernetes.default.svc","jwks_uri":"https://192.0.2.1:6443/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256"]}
}

// All mistakes in the configuration are reported at once.
func ExampleNewPublisher_refused() {
	_, err := discovery.NewPublisher(discovery.PublisherConfig{Issuer: "http://example.com"})
	fmt.Println(err)

	// Output:
	// discovery: PublisherConfig.Issuer is "http://example.com", want an https URL
	// discovery: PublisherConfig.JWKSURI is empty, want an https URL, or ExternalAddress to be set
	// discovery: PublisherConfig.Keys is required, want a keys.Source
}

// Keep the documents on a static host.
func ExamplePublisher_Publish() {
	set, err := keys.NewSet(keystest.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	publisher, err := discovery.NewPublisher(discovery.PublisherConfig{
		Issuer:  "https://tokens.example.com",
		JWKSURI: "https://tokens.example.com" + discovery.JWKSPath,
		Keys:    set,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "static")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := publisher.Refresh(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(publisher.Publish(dir))
	_ = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if !entry.IsDir() {
			fmt.Println(strings.TrimPrefix(name, dir))
		}
		return err
	})

	// Output:
	// <nil>
	// /.well-known/openid-configuration
	// /openid/v1/jwks
}
