/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet: the program. Everything is in app_main(), so that tests and the generator of the man
 * page link the same code.
 */
#include "app/app.h"

int main(int argc, char **argv, char **environment)
{
    return app_main(argc, argv, environment);
}
