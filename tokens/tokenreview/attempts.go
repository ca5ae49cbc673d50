package tokenreview

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/kubesa/serviceaccount/internal/flight"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The pauses between attempts grow from firstPause by pauseFactor, and are up to
// pauseJitter longer (TRC-16).
const (
	firstPause  = 500 * time.Millisecond
	pauseFactor = 1.5
	pauseJitter = 0.2
)

var errNoAnswer = errors.New("the Creator returned neither an answer nor an error")

// send sends review until there is an answer, an error that another attempt
// doesn't mend, or no more time or attempts. If the time is over in a later attempt,
// it returns the error of the one before, which says more (TRC-20).
func (r *request) send(ctx context.Context, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	var before error
	for pause := firstPause; ; pause = time.Duration(float64(pause) * pauseFactor) {
		answer, err := r.sendOnce(ctx, review)
		switch {
		case err == nil:
			return answer, nil
		case ctx.Err() != nil && before != nil:
			return nil, before
		case len(r.attempts) >= r.cfg.Attempts || !retryable(err):
			return nil, err
		}
		before = err
		select {
		case <-time.After(pause + time.Duration(rand.Float64()*pauseJitter*float64(pause))):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (r *request) sendOnce(ctx context.Context, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
	began := time.Now()
	answer, err := flight.Do(ctx, r.guard, func(ctx context.Context) (*authenticationv1.TokenReview, error) {
		return r.cfg.Reviews.CreateTokenReview(ctx, review.DeepCopy())
	})
	if err == nil && answer == nil {
		err = errNoAnswer
	}
	r.attempts = append(r.attempts, Attempt{statusOf(err), time.Since(began)})
	return answer, err
}

// statusOf returns the HTTP status of an answer, 0 if err says that there was none.
func statusOf(err error) int {
	if err == nil {
		return http.StatusCreated
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return int(status.Status().Code)
	}
	return 0
}

// retryable reports whether another attempt may have an answer (TRC-17, TRC-18). A
// TokenReview changes nothing, so it may be sent again if the answer was lost. What
// the client below has retried itself, as client-go does with a Retry-After, isn't
// retried here too (TRC-19).
func retryable(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if value, _ := flight.PanicOf(err); value != nil {
		return false
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	if _, hinted := apierrors.SuggestsClientDelay(err); hinted {
		return false
	}
	switch status.Status().Code {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return false
}
