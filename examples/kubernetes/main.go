// Command kubernetes runs a cluster's control plane whose service accounts are handled
// by this library: a real etcd and kube-apiserver, the admission webhook, the controllers
// and the keys. There is no kube-controller-manager, and the
// API server's own ServiceAccount plugin is off. README.md says what to try.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// The kinds of tokens that pods get, by Kubernetes version.
const (
	eraSecrets   = "1.20" // every account has a token Secret, which its pods mount
	eraProjected = "1.37" // pods mount projected tokens
)

type options struct {
	data     string
	port     int
	replicas int
	era      string
	maxAge   time.Duration
	tour     bool
}

func parse(args []string, output io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("kubernetes", flag.ContinueOnError)
	flags.StringVar(&o.data, "data", "", "`folder` that keeps the cluster and its keys between runs; without it nothing is kept")
	flags.IntVar(&o.port, "port", 0, "`port` of the API server on loopback; 0 means one that is free")
	flags.IntVar(&o.replicas, "replicas", 1, "`number` of managers; one leads, the others wait to take over")
	flags.StringVar(&o.era, "era", eraProjected, "Kubernetes `version` that pods get tokens like: 1.20 or 1.37")
	flags.DurationVar(&o.maxAge, "key-max-age", 10*time.Second, "how long the API server may keep what it knows of the keys")
	flags.BoolVar(&o.tour, "tour", false, "show the tour of README.md with kubectl, and end")
	if err := parseFlags(flags, args, output); err != nil {
		return o, err
	}
	var errs []error
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	}
	if o.era != eraSecrets && o.era != eraProjected {
		errs = append(errs, fmt.Errorf("-era is %q, want %s or %s", o.era, eraSecrets, eraProjected))
	}
	if o.replicas < 1 || o.port < 0 || o.port > 65535 || o.maxAge < time.Second {
		errs = append(errs, fmt.Errorf("-replicas is %d, -port %d, -key-max-age %v: want at least 1, at most 65535, and at least 1s", o.replicas, o.port, o.maxAge))
	}
	return o, errors.Join(errs...)
}

// parseFlags parses args, and writes help to output. A mistake is one line.
func parseFlags(flags *flag.FlagSet, args []string, output io.Writer) error {
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(output)
		flags.Usage()
	}
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "kubernetes:", err)
		os.Exit(1)
	}
}

// command dispatches to the program and its subcommands: the manager, which the program
// starts as processes, and key rotation.
func command(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case managerCommand:
			return runManager(ctx, args[1:])
		case "rotate":
			return rotate(ctx, args[1:], os.Stdout)
		}
	}
	o, err := parse(args, os.Stderr)
	if err != nil {
		return err
	}
	return run(ctx, o, os.Stdout)
}

// run brings everything up and keeps it up until ctx is done.
func run(ctx context.Context, o options, out io.Writer) error {
	p, err := start(ctx, o, os.Stderr)
	if err != nil {
		return err
	}
	if o.tour {
		return errors.Join(newTour(p, out).all(ctx), p.stop())
	}
	fmt.Fprintf(out, "The cluster is up. Ctrl-C stops it.\n\n  export KUBECONFIG=%s\n  kubectl get serviceaccounts -A\n", p.server.Kubeconfig())
	select {
	case <-ctx.Done():
	case err = <-p.failed:
	}
	return errors.Join(err, p.stop())
}
