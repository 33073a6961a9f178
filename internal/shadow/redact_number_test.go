package shadow

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestSecretNumberNames wants numbers that are secrets to be told from those that count
// secrets, or tell something else of them.
func TestSecretNumberNames(t *testing.T) {
	for _, name := range []string{
		"pin", "PIN", "userPin", "pin_code", "otp", "otp_code", "cvv", "cvvCode", "card_number", "cardNumber", "creditCardNumber", "card_no", "cc_number",
		"ssn", "password", "newPassword", "passcode", "security_code", "verificationCode", "one_time_code",
	} {
		require.Equal(t, secretNumber, secretNumbers(name, false), name)
	}
	for _, name := range []string{"token", "access_token", "secret", "client_secret", "apiKey", "api_key", "session_id", "csrf_token", "pan"} {
		require.Equal(t, longNumber, secretNumbers(name, false), name)
	}
	for _, name := range []string{
		"tokens", "token_count", "tokenCount", "max_tokens", "max_token", "total_token", "prompt_tokens", "password_length", "session_count", "sessions", "key", "pins",
		"pin_attempts", "token_expires_in", "auth_time", "password_changed_at", "secret_version", "otp_ttl", "card_count", "card_type", "number", "code", "id", "no", "",
		"page_token", "token_id", "number_of_pin", "spin", "sid", "session", "pass", "auth", "authors", "tokenization", "remaining_otp", "card_id", "status_code",
	} {
		require.Equal(t, plainNumber, secretNumbers(name, false), name)
	}
	for _, name := range []string{"pins", "otp", "otp_codes", "cardNumbers"} {
		require.Equal(t, secretNumber, secretNumbers(name, true), name)
	}
	require.Equal(t, longNumber, secretNumbers("access_tokens", true))
	require.Equal(t, plainNumber, secretNumbers("tokens", true))
}

// TestNoNumberLeaks plants secret numbers, and looks for them in the bytes of the
// recording.
func TestNoNumberLeaks(t *testing.T) {
	planted := []string{"47114711", "123456", "40001", "4111111111111111", "987654321098", "-77665544", "31415.92653", "55512345", "66612345", "71717171"}
	text := fmt.Sprintf(`{"pin":%s,"otp": %s ,"cvv":%s,"card_number":%s,"a":{"api_key":%s},"b":[{"password":%s}],"secret":%s,"pins":[%s,%s,null,[8],{"n":9}],"otp_code":%s,
		"again":4111111111111111,"text":"card 4111111111111111","tokens":512,"token":513,"key":3,"password_length":11,"pin_set":true,"cvc":null,"totp":false,"ssn":0}`,
		planted[0], planted[1], planted[2], planted[3], planted[4], planted[5], planted[6], planted[7], planted[8], planted[9])
	for _, kind := range []string{"application/json", "text/plain"} {
		r := redactor(t, RedactionRules{})
		x := Exchange{At: recordingStart, Request: Request{Target: "/cards/4111111111111111", Header: http.Header{"Content-Type": {kind}}, Body: jsonBody(text)}, Response: Response{Header: http.Header{}}}
		path := record(t, r.Redact(x))
		file, err := os.ReadFile(path)
		require.NoError(t, err)
		reader := openRecording(t, path)
		all, _ := readAll(t, reader)
		for _, number := range planted {
			require.NotContains(t, string(reader.raw), number)
			require.NotContains(t, string(file), number)
		}
		body := string(all[0].Request.Body.Data)
		require.Len(t, body, len(text), "as long as it was")
		for _, kept := range []string{`"tokens":512`, `"token":513`, `"key":3`, `"password_length":11`, `"pin_set":true`, `"cvc":null`, `"totp":false`, `"ssn":0`, `,null,[8],{"n":9}]`} {
			require.Contains(t, body, kept)
		}
		var values struct {
			Card  json.Number `json:"card_number"`
			Again json.Number
			Text  string
			Pin   int
		}
		require.NoError(t, json.Unmarshal(all[0].Request.Body.Data, &values))
		require.Equal(t, r.PseudonymOfNumber("4111111111111111"), values.Card.String())
		require.Equal(t, values.Card, values.Again)
		require.Equal(t, "card "+values.Card.String(), values.Text)
		require.Equal(t, "/cards/"+values.Card.String(), all[0].Request.Target)
	}
}

// TestPseudonymsOfNumbers wants them to be other numbers that the same types hold.
func TestPseudonymsOfNumbers(t *testing.T) {
	r, other := redactor(t, RedactionRules{}), redactor(t, RedactionRules{Key: []byte("another key, as long")})
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
		got := r.PseudonymOfNumber(number)
		require.Len(t, got, len(number))
		require.True(t, json.Valid([]byte(got)), got)
		require.Equal(t, got, r.PseudonymOfNumber(number))
		if strings.Trim(number[:mantissaEnd(number)], "-0.") != "" {
			require.NotEqual(t, number, got)
		}
	})
	for _, most := range []int64{math.MaxInt32, math.MaxInt64, 1<<53 - 1} {
		n, err := strconv.ParseInt(r.PseudonymOfNumber(strconv.FormatInt(most, 10)), 10, 64)
		require.NoError(t, err)
		require.LessOrEqual(t, n, most)
	}
	require.NotEqual(t, r.PseudonymOfNumber("4111111111111111"), other.PseudonymOfNumber("4111111111111111"))
	require.Equal(t, "0", r.PseudonymOfNumber("0"))
}

// TestRecordedSecretNumbers wants no more to be compared of a number that a recording
// has a pseudonym for than that it is one.
func TestRecordedSecretNumbers(t *testing.T) {
	answer := func(text string) Response {
		return Response{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: jsonBody(text)}
	}
	for name, c := range map[string]struct {
		recorded bool
		want     []string
	}{
		"recorded": {true, []string{"body.b.otp type", "body.tokens changed"}},
		"asked":    {false, []string{"body.b.otp type", "body.pins[] changed", "body.tokens changed", "body.a.pin changed"}},
	} {
		comparer, err := NewComparer(Rules{}, CompareOptions{Recorded: c.recorded})
		require.NoError(t, err)
		var got []string
		for _, d := range comparer.Compare("GET /", answer(`{"a":{"pin":4711},"b":{"otp":123456},"pins":[1,2],"tokens":5}`), answer(`{"a":{"pin":815},"b":{"otp":"123456"},"pins":[1,3],"tokens":6}`)) {
			got = append(got, d.Place+" "+string(d.Kind))
		}
		require.ElementsMatch(t, c.want, got, name)
	}
}
