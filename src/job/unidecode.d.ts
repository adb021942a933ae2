declare module "unidecode" {
  const unidecode: (text: string) => string
  export default unidecode
}
