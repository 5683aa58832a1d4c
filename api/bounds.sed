# What the CRD's own patterns let through and no program can hold keeps everybody from listing channels, so it is bounded
# here: these fields' types are Kubernetes' own, and can't carry a marker.
#
# The pattern that controller-gen gives a quantity lets 1e1.5 through, which can't be read, and 1e99999999999, which takes
# a minute to compare with. This one has at most 28 digits before and after the point, and an exponent of at most 3
# (k8s.io/apimachinery/pkg/api/resource, ParseQuantity).
/pattern: .*\[numkMGTPE\]/ s/pattern: .*/pattern: ^[+-]?([0-9]{1,28}(\\.[0-9]{0,28})?|\\.[0-9]{1,28})([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,3})?$/
# The API server takes a time with a small t or z, and Go's own reader does not (time.RFC3339).
s/^\( *\)format: date-time$/&\n\1pattern: ^[0-9TZ:.+-]+$/
# An API server of 1.33 takes any whole number where the format says int32, which one of 1.36 does not: only a maximum and a
# minimum bound it in both.
/format: int32$/ {
N
/\n *maximum:/! s/^\( *\)format: int32\n/&\1maximum: 2147483647\n/
/\n *maximum: [0-9]*$/ N
/\n *minimum:/! s/^\( *\)\(.*\)\n\( *type: integer\)$/\1\2\n\1minimum: -2147483648\n\3/
}
