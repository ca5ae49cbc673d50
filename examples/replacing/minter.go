package replacing

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/tokens/keeper"
)

// An AccountCreator creates accounts of the tenant cluster.
type AccountCreator interface {
	CreateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error)
}

// NewTokenMinter keeps a token of a tenant cluster in the file "token" of dir, for the other
// containers of the pod: mintToken and its loop in HyperShift's token-minter
// (token-minter/tokenminter.go). Its Run is the loop, its Sync the flag --oneshot.
func NewTokenMinter(dir string, accounts AccountCreator, createToken CreateToken, want keeper.Want, now func() time.Time) (*keeper.Folder, error) {
	return keeper.NewFolder(keeper.FolderConfig{Dir: dir, Now: now, Fill: func(ctx context.Context) (map[string]keeper.File, time.Time, error) {
		account := &corev1.ServiceAccount{}
		account.Namespace, account.Name = want.Namespace, want.Name
		if _, err := accounts.CreateServiceAccount(ctx, account); err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, time.Time{}, err
		}
		token, err := createToken.mint(ctx, want)
		if err != nil {
			return nil, time.Time{}, err
		}
		return map[string]keeper.File{"token": {Data: []byte(token.Value)}}, token.Expiry, nil
	}})
}
