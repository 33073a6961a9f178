package traffic

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"

	"resilience/internal/measure"
)

var errRedirects = errors.New("stopped after 10 redirects")

// Words that stand in the Status of a request that got no answer.
const (
	statusUnfinished = "unfinished" // under way when the test ended
	statusGenerator  = "generator"  // our own machine could not send it
	statusError      = "error"      // none of the others
)

// classify puts the error of a request into a word for its Status.
func classify(err error) string {
	for _, c := range causes {
		if c.is(err) {
			return c.word
		}
	}
	return statusError
}

// causes are tried in this order: the narrow before the wide.
var causes = []struct {
	word string
	is   func(error) bool
}{
	{"guard", isA[*GuardError]},
	{"auth", isA[*TokenError]},
	{statusGenerator, isOwn},
	{"redirects", func(err error) bool { return errors.Is(err, errRedirects) }},
	{"dns", isA[*net.DNSError]},
	{"tls", isTLS},
	{"refused", func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
	{"timeout", isTimeout},
	{"reset", isReset},
	{"unreachable", func(err error) bool {
		return errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
	}},
}

func isA[T error](err error) bool {
	var t T
	return errors.As(err, &t)
}

// isOwn tells that the machine we run on is out of something: no fault of the
// system under test.
func isOwn(err error) bool {
	for _, own := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}

func isTLS(err error) bool {
	return isA[*tls.CertificateVerificationError](err) || isA[tls.RecordHeaderError](err) || isA[tls.AlertError](err) ||
		isA[x509.UnknownAuthorityError](err) || strings.Contains(err.Error(), "remote error: tls:")
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &timeout) && timeout.Timeout())
}

// isReset tells that the other side ended the connection before it answered.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "server closed idle connection")
}

func isCanceled(err error) bool { return errors.Is(err, context.Canceled) }

// message is the text of an error without the URL that net/http puts in front.
func message(err error) string {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return err.Error()
}

// redactURL leaves out of a URL what may be secret: user, query values and
// fragment.
func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(not a URL)"
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	if u.RawQuery == "" {
		return u.String()
	}
	var names []string
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, valued := strings.Cut(pair, "=")
		if valued {
			name += "="
		}
		names = append(names, name)
	}
	u.RawQuery = strings.Join(names, "&")
	return u.String()
}

// bounded cuts a message to what an example may hold, between characters.
func bounded(message string) string {
	if len(message) <= measure.MaxMessage {
		return message
	}
	const more = "..."
	return strings.ToValidUTF8(message[:measure.MaxMessage-len(more)], "") + more
}
