package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/kubesa/serviceaccount/sacontroller/manager"
)

// options are the flags. Those that kube-controller-manager has, too, have its
// names and defaults.
type options struct {
	kubeconfig, master string
	qps                float64
	burst              int

	controllers         controllerSet
	signingKeyFile      string
	rootCAFile          string
	tokenSyncs          int
	autoGenerate        bool
	legacyCleanUpPeriod time.Duration

	leaderElect                               bool
	leaseDuration, renewDeadline, retryPeriod time.Duration
	leaseName, leaseNamespace                 string

	httpAddress string
	logFormat   string
	verbose     bool
	version     bool
}

// parse reads args. It writes help to help, and then returns [flag.ErrHelp]. Any other
// error is a mistake in args, one line for each.
func parse(args []string, help io.Writer) (*options, error) {
	o := &options{controllers: defaultControllers()}
	fs := flag.NewFlagSet("serviceaccount-manager", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // a mistake is one line, without the help
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file` of the API server; without it and --master, the Pod's own account is used")
	fs.StringVar(&o.master, "master", "", "`URL` of the API server, instead of that in the kubeconfig")
	fs.Float64Var(&o.qps, "kube-api-qps", 20, "requests of each controller to the API server per second")
	fs.IntVar(&o.burst, "kube-api-burst", 30, "requests of each controller to the API server in a burst")
	fs.Var(&o.controllers, "controllers", "comma separated `list`: '*' for all that are on by default, 'foo' for foo, '-foo' for all but foo")
	fs.StringVar(&o.signingKeyFile, "service-account-private-key-file", "", "PEM `file` with the private RSA or ECDSA key that signs Secret-based tokens; without it their controller is off")
	fs.StringVar(&o.rootCAFile, "root-ca-file", "", "PEM `file` with the CA bundle for Secrets and ConfigMaps; read again when it changes; without it that of the kubeconfig is used")
	fs.IntVar(&o.tokenSyncs, "concurrent-serviceaccount-token-syncs", 5, "token Secrets and accounts to reconcile at a time")
	fs.BoolVar(&o.autoGenerate, "auto-generate-tokens", false, "give every account a token Secret, as Kubernetes did up to v1.23")
	fs.DurationVar(&o.legacyCleanUpPeriod, "legacy-service-account-token-clean-up-period", 365*24*time.Hour, "how long a generated token must be unused to be invalidated, and then invalid to be deleted")
	fs.BoolVar(&o.leaderElect, "leader-elect", true, "work only while holding a Lease")
	fs.DurationVar(&o.leaseDuration, "leader-elect-lease-duration", 15*time.Second, "how long others wait for the holder to renew")
	fs.DurationVar(&o.renewDeadline, "leader-elect-renew-deadline", 10*time.Second, "how long the holder tries to renew")
	fs.DurationVar(&o.retryPeriod, "leader-elect-retry-period", 2*time.Second, "time between attempts")
	fs.StringVar(&o.leaseName, "leader-elect-resource-name", "serviceaccount-manager", "`name` of the Lease")
	fs.StringVar(&o.leaseNamespace, "leader-elect-resource-namespace", "kube-system", "`namespace` of the Lease")
	fs.StringVar(&o.httpAddress, "http-bind-address", "127.0.0.1:10257", "`address` for /metrics, /healthz, /livez and /readyz over plain HTTP; empty for none")
	fs.StringVar(&o.logFormat, "logging-format", "text", "text or json")
	fs.BoolVar(&o.verbose, "verbose", false, "log every failed attempt, and what the watches do")
	fs.BoolVar(&o.version, "version", false, "print the version and exit")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(help, "Usage of serviceaccount-manager:")
			fs.SetOutput(help)
			fs.PrintDefaults()
		}
		return nil, err
	}
	var errs []error
	if fs.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q", fs.Arg(0)))
	}
	for _, positive := range []struct {
		name string
		ok   bool
	}{
		{"kube-api-qps", o.qps > 0},
		{"kube-api-burst", o.burst > 0},
		{"concurrent-serviceaccount-token-syncs", o.tokenSyncs > 0},
		{"legacy-service-account-token-clean-up-period", o.legacyCleanUpPeriod > 0},
		{"leader-elect-lease-duration", o.leaseDuration > 0},
		{"leader-elect-renew-deadline", o.renewDeadline > 0},
		{"leader-elect-retry-period", o.retryPeriod > 0},
	} {
		if !positive.ok {
			errs = append(errs, fmt.Errorf("--%s is %v, want more than 0", positive.name, fs.Lookup(positive.name).Value))
		}
	}
	if o.logFormat != "text" && o.logFormat != "json" {
		errs = append(errs, fmt.Errorf("--logging-format is %q, want text or json", o.logFormat))
	}
	return o, errors.Join(errs...)
}

func (o *options) logger(w io.Writer) *slog.Logger {
	handler := &slog.HandlerOptions{Level: slog.LevelInfo}
	if o.verbose {
		handler.Level = slog.LevelDebug
	}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, handler))
	}
	return slog.New(slog.NewTextHandler(w, handler))
}

func (o *options) election(identity string) *manager.LeaderElection {
	return &manager.LeaderElection{
		Namespace: o.leaseNamespace, Name: o.leaseName, Identity: identity,
		LeaseDuration: o.leaseDuration, RenewDeadline: o.renewDeadline, RetryPeriod: o.retryPeriod,
	}
}

// flagOf are the flags of the fields that manager.New may find mistakes in.
var flagOf = map[string]string{
	"LeaderElection.Namespace":     "leader-elect-resource-namespace",
	"LeaderElection.Name":          "leader-elect-resource-name",
	"LeaderElection.LeaseDuration": "leader-elect-lease-duration",
	"LeaderElection.RenewDeadline": "leader-elect-renew-deadline",
	"LeaderElection.RetryPeriod":   "leader-elect-retry-period",
}

// usageOf returns the mistakes in err that are mistakes in flags, one line for each,
// or "" if there are others or none.
func usageOf(err error) string {
	if errs, ok := err.(interface{ Unwrap() []error }); ok {
		var lines []string
		for _, err := range errs.Unwrap() {
			line := usageOf(err)
			if line == "" {
				return ""
			}
			lines = append(lines, line)
		}
		return strings.Join(lines, "\n")
	}
	if mistake, ok := errors.AsType[*manager.ConfigError](err); ok && flagOf[mistake.Field] != "" {
		return fmt.Sprintf("--%s %s", flagOf[mistake.Field], mistake.Problem)
	}
	return ""
}

// A controllerSet are the controllers that are on.
type controllerSet map[string]bool

// The controllers by name, with the alias that Kubernetes knows (CST-20).
const (
	accountsName  = "serviceaccount-controller"
	tokensName    = "serviceaccount-token-controller"
	publisherName = "root-ca-certificate-publisher-controller"
	bundlesName   = "kube-apiserver-serving-clustertrustbundle-publisher-controller"
	cleanerName   = "legacy-serviceaccount-token-cleaner-controller"
	trackerName   = "legacy-service-account-token-tracking-controller"
)

var canonicalNames = map[string]string{
	accountsName: accountsName, "serviceaccount": accountsName,
	tokensName: tokensName, "serviceaccount-token": tokensName,
	publisherName: publisherName, "root-ca-cert-publisher": publisherName,
	bundlesName: bundlesName,
	cleanerName: cleanerName, "legacy-service-account-token-cleaner": cleanerName,
	trackerName: trackerName,
}

// defaultControllers are all but the one that kube-apiserver runs itself.
func defaultControllers() controllerSet {
	return controllerSet{accountsName: true, tokensName: true, publisherName: true, bundlesName: true, cleanerName: true}
}

// String implements flag.Value.
func (s *controllerSet) String() string { return "*" }

// Set implements flag.Value: entries count whatever their order.
func (s *controllerSet) Set(list string) error {
	set := controllerSet{}
	var off []string
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "*" {
			for name := range defaultControllers() {
				set[name] = true
			}
			continue
		}
		bare, isOff := strings.CutPrefix(entry, "-")
		name, ok := canonicalNames[bare]
		if !ok {
			return fmt.Errorf("%q is no controller", bare)
		}
		if isOff {
			off = append(off, name)
		} else {
			set[name] = true
		}
	}
	for _, name := range off {
		delete(set, name)
	}
	*s = set
	return nil
}
