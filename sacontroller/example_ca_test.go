package sacontroller_test

import (
	"encoding/pem"
	"fmt"
	"net/http/httptest"

	"github.com/kubesa/serviceaccount/sacontroller"
)

// Check the content of a CA file before it is published: it may have been read
// while it was being written.
func ExampleCheckCABundle() {
	server := httptest.NewTLSServer(nil) // for its certificate
	defer server.Close()
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})

	fmt.Println(sacontroller.CheckCABundle(bundle))
	fmt.Println(sacontroller.CheckCABundle(bundle[:len(bundle)/2]))
	fmt.Println(sacontroller.CheckCABundle(nil))

	// Output:
	// <nil>
	// sacontroller: CA bundle has a damaged block beside 0 certificates, want it complete
	// sacontroller: CA bundle holds no certificate, want at least one in PEM
}
