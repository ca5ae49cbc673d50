package tokenrequest

import (
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/logvalue"
)

// A Result is what a request ended with.
type Result string

// The results.
const (
	ResultIssued Result = "Issued"
	ResultDenied Result = "Denied" // the request is wrong or not allowed: a status with a code below 500
	ResultFailed Result = "Failed" // a getter or the signer failed
)

// An Event is one request. It never holds the token. What it says of the request
// may come from the client: escape it in logs.
type Event struct {
	Namespace, Name string // of the ServiceAccount

	Result Result
	Reason metav1.StatusReason // of the status that was returned; empty if issued
	Err    error               // what Create returned
	Took   time.Duration       // by Create

	// CredentialID names the token in audit logs and user infos; empty unless
	// issued.
	CredentialID string

	// Warnings are for the client, as HTTP headers. AuditAnnotations belong to
	// the audit event of the request; nil if there are none.
	Warnings         []string
	AuditAnnotations map[string]string

	// Panic and Stack are set if the signer panicked. The value may hold a secret.
	Panic any
	Stack []byte
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

func (e *Event) warn(text string) { e.Warnings = append(e.Warnings, text) }

func (e *Event) annotate(key, value string) {
	if e.AuditAnnotations == nil {
		e.AuditAnnotations = map[string]string{}
	}
	e.AuditAnnotations[key] = value
}

// finish says how the request ended, from the error of Create.
func (e *Event) finish(err error) {
	e.Err, e.Result = err, ResultFailed
	status, ok := err.(apierrors.APIStatus) // those of getters are of this type too
	switch {
	case err == nil:
		e.Result = ResultIssued
	case ok:
		e.Reason = status.Status().Reason
		if status.Status().Code < 500 {
			e.Result = ResultDenied
		}
	}
}
