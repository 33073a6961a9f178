package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is how many characters of one text from outside a report shows, in
// all formats but JSON.
const maxText = 600

// printable makes any text safe to show on one line of a terminal or log: what
// is invalid, invisible or would move the cursor or turn the writing direction
// is written as an escape, line ends become spaces, and a text of more than
// [maxText] characters is cut. "##[" would begin a command in the log of some
// CI systems wherever it stands, so it is broken up.
func printable(s string) string {
	var b strings.Builder
	n := 0
	for i, r := range s {
		if n++; n > maxText {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n' || r == '\r' || r == '\t' || unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return strings.TrimSpace(strings.ReplaceAll(b.String(), "##[", "## ["))
}

// markdownText makes a text safe within a line or a table cell of GitHub
// flavoured Markdown: nothing in it is markup, HTML, a mention or a link.
func markdownText(s string) string {
	return markdownEscapes.Replace(printable(s))
}

var markdownEscapes = strings.NewReplacer(
	"&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "&#124;", `\`, "&#92;", "`", "&#96;",
	"*", "&#42;", "_", "&#95;", "~", "&#126;", "[", "&#91;", "]", "&#93;", "#", "&#35;",
	"@", "&#64;<!-- -->", "://", "&#58;//", "www.", "www&#46;", "$", "&#36;",
)

// commandData makes a text safe as the message of a GitHub workflow command,
// commandProperty as one of its properties (actions/toolkit, command.ts).
func commandData(s string) string { return commandDataEscapes.Replace(s) }

func commandProperty(s string) string { return commandPropertyEscapes.Replace(s) }

var (
	commandDataEscapes     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	commandPropertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)
