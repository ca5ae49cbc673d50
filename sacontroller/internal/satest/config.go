package satest

import (
	"errors"
	"testing"

	"github.com/kubesa/serviceaccount/sacontroller"
)

// A ConfigCase is the error of a constructor.
type ConfigCase struct {
	Config string // that of the first mistake
	Err    error
	Want   string // the text
}

// ConfigErrors checks that constructors report all mistakes at once.
func ConfigErrors(t *testing.T, tests []ConfigCase) {
	t.Helper()
	for _, tt := range tests {
		if tt.Err == nil || tt.Err.Error() != tt.Want {
			t.Errorf("the error is\n%v\nwant\n%s", tt.Err, tt.Want)
		}
		if e, ok := errors.AsType[*sacontroller.ConfigError](tt.Err); !ok || e.Config != tt.Config {
			t.Errorf("the error is %#v, want a ConfigError of %s", e, tt.Config)
		}
	}
}

// ErrorOf returns the error of a constructor.
func ErrorOf[T any](_ T, err error) error { return err }
