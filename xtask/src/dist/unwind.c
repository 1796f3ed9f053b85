/* Debian's static libunwind was compiled for glibc with _FORTIFY_SOURCE: this one name is not in musl. */
#include <stdarg.h>
#include <stdio.h>

int __fprintf_chk(FILE *file, int flag, const char *format, ...)
{
    va_list arguments;
    int written;
    (void)flag;
    va_start(arguments, format);
    written = vfprintf(file, format, arguments);
    va_end(arguments);
    return written;
}
