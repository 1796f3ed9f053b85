/* A library that uses POSIX sockets, in the same process and in the same file: libcurl fetches from a Winsock server. */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\nfrom Winsock\n";

static void check(int succeeded, const char *what)
{
    if (succeeded)
        return;
    fprintf(stderr, "%s failed: error %d\n", what, (int)WSAGetLastError());
    exit(EXIT_FAILURE);
}

static void *serve(void *listener)
{
    char request[1024];
    SOCKET s = accept((SOCKET)listener, NULL, NULL);

    check(s != INVALID_SOCKET, "accept");
    check(recv(s, request, sizeof request, 0) > 0, "recv");
    check(send(s, answer, sizeof answer - 1, 0) == sizeof answer - 1, "send");
    check(closesocket(s) == 0, "closesocket");
    return NULL;
}

int main(void)
{
    WSADATA data;
    struct sockaddr_in address = { .sin_family = AF_INET };
    int length = sizeof address;
    char url[64];
    pthread_t server;

    check(WSAStartup(MAKEWORD(2, 2), &data) == 0, "WSAStartup");
    SOCKET listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
    check(getsockname(listener, (struct sockaddr *)&address, &length) == 0 && listen(listener, 1) == 0, "listen");
    check(pthread_create(&server, NULL, serve, (void *)listener) == 0, "pthread_create");

    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    CURL *curl = curl_easy_init();
    check(curl != NULL, "curl_easy_init");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    check(curl_easy_perform(curl) == CURLE_OK, "curl_easy_perform");
    curl_easy_cleanup(curl);
    pthread_join(server, NULL);
    check(closesocket(listener) == 0 && WSACleanup() == 0, "the end");
    return EXIT_SUCCESS;
}
