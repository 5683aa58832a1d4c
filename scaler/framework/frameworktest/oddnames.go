package frameworktest

import "strings"

// OddNames are names of keys that a server takes, and that somebody has.
var OddNames = map[string]string{
	"spaces":                  "new orders of today",
	"spaces at both ends":     " orders ",
	"Unicode":                 "заказы-注文-📦",
	"an accent of two points": "cafe\u0301",
	"NUL":                     "a\x00b",
	"CR LF":                   "a\r\nLLEN b\r\n",
	"a tab":                   "a\tb",
	"no UTF-8":                "a\xff\xfeb",
	"braces":                  "{orders}",
	"braces within":           "a{b}c",
	"empty braces":            "{}orders",
	"a brace alone":           "or{ders",
	"quotes":                  `"orders" 'x' \`,
	"a comma":                 "orders,refunds",
	"a glob, a parameter":     "*?[a-z]$1%s",
	"an array's beginning":    "[orders",
	"3,000 bytes":             strings.Repeat("orders:", 3000/7) + "1234",
}
