/* Winsock 1.1 is part of Winsock 2. */
#include "winsock2.h"
