package contract_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"github.com/kubesa/serviceaccount/internal/contract"
)

func TestRequire(t *testing.T) {
	object, failed := new(int), errors.New("failed")
	for _, tt := range []struct {
		name    string
		object  *int
		err     error
		want    *int
		wantErr error
	}{
		{"object", object, nil, object, nil},
		{"error", nil, failed, nil, failed},
		{"both", object, failed, nil, failed},
		{"error that is no pointer", nil, context.DeadlineExceeded, nil, context.DeadlineExceeded},
		{"neither", nil, nil, nil, contract.ErrNothing},
		{"nil pointer as the error", nil, (*fs.PathError)(nil), nil, contract.ErrNothing},
		{"object and a nil pointer as the error", object, (*fs.PathError)(nil), nil, contract.ErrNothing},
	} {
		if got, err := contract.Require(tt.object, tt.err); got != tt.want || err != tt.wantErr {
			t.Errorf("%s: Require() = %p, %v, want %p, %v", tt.name, got, err, tt.want, tt.wantErr)
		}
	}
}
