package compat

import (
	"encoding/pem"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// A countingProxy passes requests on to the API server, as an admin, and counts them.
// It is reached as the API server is, over TLS and HTTP/2.
type countingProxy struct {
	kubeconfig string // a file

	mu      sync.Mutex
	traffic traffic
}

// traffic is what went through a countingProxy.
type traffic struct {
	verbs        map[string]int // requests; watches that are cut and made again count again
	contentTypes map[string]int // of the answers
	bytes        int64          // of the bodies of the answers
}

func newCountingProxy(t *testing.T, config *rest.Config) *countingProxy {
	t.Helper()
	p := &countingProxy{traffic: traffic{verbs: map[string]int{}, contentTypes: map[string]int{}}}
	target := must(url.Parse(config.Host))
	config.DisableCompression = true // that is up to the programs
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     must(rest.TransportFor(config)),
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // watches end when a manager does
		ModifyResponse: func(resp *http.Response) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.traffic.contentTypes[resp.Header.Get("Content-Type")]++
			resp.Body = &countingBody{resp.Body, p}
			return nil
		},
	}
	verbs := &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, err := verbs.NewRequestInfo(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.mu.Lock()
		p.traffic.verbs[info.Verb]++
		p.mu.Unlock()
		forward.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	file := clientcmdapi.NewConfig()
	file.Clusters["proxy"] = &clientcmdapi.Cluster{
		Server:                   server.URL,
		CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	}
	file.Contexts["proxy"] = &clientcmdapi.Context{Cluster: "proxy"}
	file.CurrentContext = "proxy"
	p.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*file, p.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return p
}

type countingBody struct {
	io.ReadCloser
	proxy *countingProxy
}

func (b *countingBody) Read(data []byte) (int, error) {
	n, err := b.ReadCloser.Read(data)
	b.proxy.mu.Lock()
	defer b.proxy.mu.Unlock()
	b.proxy.traffic.bytes += int64(n)
	return n, err
}

// now returns a copy of the counts so far.
func (p *countingProxy) now() traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	return traffic{maps.Clone(p.traffic.verbs), maps.Clone(p.traffic.contentTypes), p.traffic.bytes}
}

// since returns what t has more than an earlier one.
func (t traffic) since(before traffic) traffic {
	d := traffic{map[string]int{}, map[string]int{}, t.bytes - before.bytes}
	for verb, n := range t.verbs {
		if n -= before.verbs[verb]; n > 0 {
			d.verbs[verb] = n
		}
	}
	for contentType, n := range t.contentTypes {
		if n -= before.contentTypes[contentType]; n > 0 {
			d.contentTypes[contentType] = n
		}
	}
	return d
}

// requests returns how many there were of all verbs.
func (t traffic) requests() (n int) {
	for _, of := range t.verbs {
		n += of
	}
	return n
}

// writes returns how many requests changed something, or tried to.
func (t traffic) writes() int {
	return t.requests() - t.verbs["get"] - t.verbs["list"] - t.verbs["watch"]
}
