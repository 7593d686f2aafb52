// What becomes of the data in volumes when the stack is destroyed. Pure: `vectis destroy` tells it before it happens.

/** What `vectis:data` says. */
export type DataPolicy = "keep" | "delete";

/** How the resources of those volumes are called whose content is made anew at every start: they go with the stack. */
const scratch = /-(?:sasl|traefik-dynamic)$/;

/** Whether a volume holds what the policy is about: mail, the queue, accounts, certificates. `name`: of its resource. */
export const holdsData = (name: string): boolean => !scratch.test(name);
