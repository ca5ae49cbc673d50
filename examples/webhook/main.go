// Command webhook is the ServiceAccount admission plugin of Kubernetes as a mutating
// webhook: it gives pods their account, the volume of its token and its image pull
// secrets. Run it in a cluster whose API server has that plugin off, such as one
// made of a bare kube-apiserver. README.md has the configuration.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/kubesa/serviceaccount/admission"
)

// Where Kubernetes puts what a pod needs to talk to the API server.
const inCluster = admission.DefaultMountPath

type options struct {
	listen            string
	certFile, keyFile string
	api               apiOptions
	strict            bool
	drain             time.Duration
}

func parse(args []string, output io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("webhook", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // a mistake is one line
	flags.StringVar(&o.listen, "listen", ":8443", "`address` to serve on")
	flags.StringVar(&o.certFile, "cert", "/tls/tls.crt", "`file` of the serving certificate; read again when it changes")
	flags.StringVar(&o.keyFile, "key", "/tls/tls.key", "`file` of the certificate's private key")
	flags.StringVar(&o.api.url, "api-server", "https://kubernetes.default.svc", "`URL` of the API server that has the ServiceAccounts")
	flags.StringVar(&o.api.caFile, "api-ca", inCluster+"/ca.crt", "`file` of the certificates that the API server is trusted by")
	flags.StringVar(&o.api.tokenFile, "api-token", inCluster+"/token", "`file` of the bearer token; read for each request, because it is replaced")
	flags.BoolVar(&o.strict, "strict", false, "close the gaps of Kubernetes' own plugin: see admission.Config.Strict")
	flags.DurationVar(&o.drain, "drain", 5*time.Second, "`time` to go on serving, not ready, before shutting down")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(output)
			flags.Usage()
		}
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, nil
}

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(o, log)
	}
	if err != nil {
		log.Error("webhook", "err", err)
		os.Exit(1)
	}
}

// run serves until the process gets SIGTERM or SIGINT.
func run(o options, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	w, err := newWebhook(o, log)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return err
	}
	log.Info("serving", "address", l.Addr().String())
	return w.serve(ctx, l)
}
